"""`make deps`: the code that can change a stage's result, written into dvc.yaml from the import graph.

A room (a package) stands as a folder, a module outside the rooms as a file. A stage over one arm depends on
that arm's own module, `arms/${item.system}.py`, not on its neighbours, and on what any arm may import: that includes
the modules of `arms/` that are no system (those named in `arms.build.SYSTEMS`), which several systems share.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import grimp
from ruamel.yaml import YAML

from diffusionbert.arms.build import SYSTEMS

PACKAGE = "diffusionbert"
ARM = f"src/{PACKAGE}/arms/${{item.system}}.py"

# They check, look up, mirror, tell and start, and change no result: neither named nor followed. What they
# read of params.yaml is a dependency by its key.
NO_DEPENDENCY = frozenset(
    f"{PACKAGE}.{name}"
    for name in ("config", "tracking", "progress", "shapes", "arms.build", "stages.shell", "stages.estimate")
)


def main() -> int:
    path = Path("dvc.yaml")
    text = path.read_text(encoding="utf-8")
    new = rewritten(text, grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None))
    path.write_text(new, encoding="utf-8")
    print("dvc.yaml: as it was" if new == text else "dvc.yaml: rewritten")
    return 0


def rewritten(text: str, graph: grimp.ImportGraph) -> str:
    """dvc.yaml with every stage's `src/` lines as the import graph has them, and all else byte for byte."""
    stages = YAML(typ="safe", pure=True).load(text)["stages"]
    head, *blocks = re.split(r"(?m)^(?=  \w+:$)", text)
    lines = []
    for block in blocks:
        family = block.split(":", 1)[0].strip()
        per_arm = stages[family].get("foreach") == "${arms}"
        lines.append(_with_code(block, code_of(family, graph, per_arm=per_arm)))
    return head + "".join(lines)


def code_of(family: str, graph: grimp.ImportGraph, *, per_arm: bool) -> list[str]:
    """The files and folders of the package that the stage's result can depend on.

    Raises ValueError when the stage has no module, or when a system builds on another, whose edits it would miss.
    """
    start = f"{PACKAGE}.stages.{family}"
    if start not in graph.modules:
        raise ValueError(f"dvc.yaml: stage '{family}': found no module src/{PACKAGE}/stages/{family}.py")
    arms = {f"{PACKAGE}.arms.{system}" for system in SYSTEMS}
    reached = _imported(graph, {start})
    look_up = f"{PACKAGE}.arms.build"
    runs_arms = any(look_up in graph.find_modules_directly_imported_by(name) for name in reached)
    if runs_arms:
        for arm in arms:
            if neighbours := (_imported(graph, {arm}) & arms) - {arm}:
                raise ValueError(
                    f"{arm} imports {', '.join(sorted(neighbours))}; expected what systems share in a module of its own"
                )
        below = _imported(graph, arms) - arms
        reached |= below if per_arm else below | arms
    paths = {_path(name, graph) for name in reached if name != PACKAGE}
    if runs_arms and per_arm:
        paths.add(ARM)
    return sorted(path for path in paths if path is not None)


def _imported(graph: grimp.ImportGraph, names: Iterable[str]) -> set[str]:
    """The modules and all they import, directly or not, without passing through NO_DEPENDENCY."""
    reached: set[str] = set()
    ahead = set(names)
    while ahead:
        name = ahead.pop()
        reached.add(name)
        ahead |= {other for other in graph.find_modules_directly_imported_by(name) if _is_followed(other)} - reached
    return reached


def _is_followed(name: str) -> bool:
    return not any(name == other or name.startswith(f"{other}.") for other in NO_DEPENDENCY)


def _path(name: str, graph: grimp.ImportGraph) -> str | None:
    """A module of `stages` and `arms` by its file, any other room by its folder; those two not at all."""
    words = name.split(".")
    room = f"{PACKAGE}.{words[1]}"
    if words[1] in ("stages", "arms"):
        return f"src/{'/'.join(words)}.py" if len(words) > 2 else None
    if graph.find_children(room):
        return f"src/{PACKAGE}/{words[1]}"
    return f"src/{PACKAGE}/{words[1]}.py"


def _with_code(block: str, paths: list[str]) -> str:
    """A stage's text with these paths as the last of its deps."""
    lines = [line for line in block.splitlines(keepends=True) if not line.strip().startswith("- src/")]
    where = next((at for at, line in enumerate(lines) if line.strip() == "deps:"), None)
    if where is None:
        after = ("params:", "outs:", "metrics:")
        where = next(at for at, line in enumerate(lines) if line.strip().startswith(after))
        margin = _margin(lines[where])
        lines.insert(where, f"{margin}deps:\n")
    margin = _margin(lines[where])
    end = where + 1
    while end < len(lines) and lines[end].startswith(f"{margin}  "):
        end += 1
    return "".join([*lines[:end], *(f"{margin}  - {path}\n" for path in paths), *lines[end:]])


def _margin(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


if __name__ == "__main__":
    sys.exit(main())
