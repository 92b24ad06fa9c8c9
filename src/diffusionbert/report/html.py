"""A document as one HTML file that needs nothing beside it."""

from __future__ import annotations

import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from diffusionbert.report.document import Document

INTERVAL = re.compile(r"(\d) (\[[-+\d.,e ]+\])")
SVG = re.compile(r"\A<svg[\s>]")


def render_html(document: Document) -> str:
    environment = Environment(
        loader=PackageLoader("diffusionbert.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(inline=_inline, drawing=_drawing, cell=_cell, kind=lambda block: type(block).__name__)
    return environment.get_template("report.html.j2").render(document=document)


def _inline(text: str) -> Markup:
    """Escaped text, its `code` and **strong** as elements."""
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    html = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", html)
    return Markup(re.sub(r"\*([^*\s][^*]*)\*", r"<em>\1</em>", html))


def _cell(text: str) -> Markup:
    """An escaped cell; the interval after a number gets its own line, which keeps wide tables narrow."""
    return Markup(INTERVAL.sub(r'\1 <span class="interval">\2</span>', str(escape(text))))


def _drawing(svg: str) -> Markup:
    """A drawing made by our own plots, which has escaped its labels already."""
    assert SVG.match(svg), "a figure that is no SVG"
    return Markup(svg)
