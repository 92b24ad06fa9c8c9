"""A document as Markdown, for reading where there is no browser; drawings are left to the HTML."""

from __future__ import annotations

import re

from diffusionbert.report.document import Block, Bullets, Code, Document, Figure, Table, Text


def render_markdown(document: Document) -> str:
    parts = [f"# {document.title}", "\n".join(f"- {line}" for line in document.summary)]
    parts += [f"[{title}]({name}.md)" for name, title in document.links]
    for section in document.sections:
        parts.append(f"## {section.title}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_table(table: Table) -> str:
    """A Markdown table without its caption; cells are taken literally."""
    rule = ["---:" if number in table.numeric else "---" for number in range(len(table.columns))]
    lines = [table.columns, rule, *([_literal(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _block(block: Block) -> str:
    if isinstance(block, Text):
        return block.text
    if isinstance(block, Bullets):
        return "\n".join(f"- {item}" for item in block.lines)
    if isinstance(block, Code):
        return f"```yaml\n{block.text.rstrip()}\n```"
    if isinstance(block, Figure):
        return f"*Figure (drawn in the HTML page): {block.caption}.*"
    return "\n\n".join(part for part in (f"**{block.caption}**", render_table(block), block.note) if part)


def _literal(cell: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", " ".join(cell.split()))
