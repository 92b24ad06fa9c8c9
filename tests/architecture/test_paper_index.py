"""Does the paper index, and every other name that the documents give, lead to something that exists?"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache, reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from workflow.deps import ARM

from diffusionbert.config import read_yaml

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "paper-index.md"
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
STAGES: dict[str, Any] = read_yaml(ROOT / "dvc.yaml")["stages"]

COLUMNS = ["In the paper", "What it is", "Function", "Test", "Stage"]
NAME = re.compile(r"`(diffusionbert(?:\.\w+)+:\w+(?:\.\w+)*)`")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
STAGE = re.compile(r"`(\w+)`")
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")
THE_PAPERS = {
    *(f"Eq. {number}" for number in range(1, 13)),
    *(f"Table {number}" for number in range(1, 4)),
    *(f"Fig. {number}" for number in range(1, 5)),
}


@dataclass(frozen=True)
class Entry:
    source: str
    functions: tuple[str, ...]
    tests: tuple[tuple[str, str], ...]
    stages: tuple[str, ...]


def entries() -> list[Entry]:
    """The rows of the one table of docs/paper-index.md that has these columns."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in INDEX.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    assert rows[0] == COLUMNS
    assert all(len(row) == len(COLUMNS) for row in rows)
    return [
        Entry(source, tuple(NAME.findall(name)), tuple(TEST.findall(test)), tuple(STAGE.findall(stage)))
        for source, _, name, test, stage in rows[2:]
    ]


ENTRIES = entries()


def resolved(name: str) -> Any:
    """What `package.module:attribute` names; AttributeError or ImportError when there is no such thing."""
    module, _, attributes = name.partition(":")
    return reduce(getattr, attributes.split("."), import_module(module))


@cache
def functions_of(path: str) -> frozenset[str]:
    """The test functions that pytest would find at the top of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names = (node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in names if name.startswith("test"))


def code_of(stage: str) -> list[str]:
    """The code under the stage's deps, without the suffix of a file; the arm's own module for every system."""
    deps = STAGES[stage].get("do", STAGES[stage]).get("deps", [])
    arms = "src/diffusionbert/arms/"
    return [arms if dep == ARM else dep.removesuffix(".py") for dep in deps if dep.startswith("src/")]


def is_in(name: str, folder: str) -> bool:
    module = f"src/{name.partition(':')[0].replace('.', '/')}/"
    return module.startswith(f"{folder.rstrip('/')}/")


def test_every_equation_table_and_figure_has_its_place() -> None:
    missing = re.findall(r"(?m)^- \*\*([^*]+)\*\*", INDEX.read_text(encoding="utf-8"))
    told = {word for text in [*missing, *(entry.source for entry in ENTRIES)] for word in text.split(", ")}
    assert told >= THE_PAPERS
    assert not set(missing) & {entry.source for entry in ENTRIES}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.source)
def test_every_entry_resolves(entry: Entry) -> None:
    assert entry.functions
    assert entry.tests
    assert entry.stages
    for name in entry.functions:
        assert callable(resolved(name)), name
    for path, test in entry.tests:
        assert test in functions_of(path), f"{path} has no {test}"
    assert set(entry.stages) <= set(STAGES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.source)
def test_the_stages_of_an_entry_depend_on_its_code(entry: Entry) -> None:
    for stage in entry.stages:
        assert any(is_in(name, folder) for name in entry.functions for folder in code_of(stage)), stage
    for name in entry.functions:
        assert any(is_in(name, folder) for stage in entry.stages for folder in code_of(stage)), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_name_and_link_in_the_documents_resolves(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in NAME.findall(text):
        assert resolved(name) is not None, name
    for test_file, test in TEST.findall(text):
        assert test in functions_of(test_file), f"{test_file} has no {test}"
    for target in LINK.findall(text):
        assert (path.parent / target).exists(), target


def test_the_documents_give_names_to_resolve() -> None:
    glossary = ROOT / "docs" / "glossary.md"
    assert all(NAME.search(path.read_text(encoding="utf-8")) for path in (INDEX, glossary))
    assert LINK.search((ROOT / "README.md").read_text(encoding="utf-8"))
