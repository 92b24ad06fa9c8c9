"""Is there one definition of the DAG, and do Snakefile, stage modules, params.yaml and folders follow it?"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import grimp
import pytest
from workflow import deps
from workflow.definition import Definition, closure, read

from diffusionbert.config import load, read_yaml
from diffusionbert.stages import train

ROOT = Path(__file__).parents[2]
DEFINITION: dict[str, Any] = read_yaml(ROOT / "dvc.yaml")["stages"]
FAMILIES = list(DEFINITION)


@pytest.fixture(scope="module")
def definition() -> Definition:
    return read(ROOT, ask=False)


def body(family: str) -> dict[str, Any]:
    return DEFINITION[family].get("do", DEFINITION[family])


def outs(family: str) -> list[str]:
    entries = [entry for section in ("outs", "metrics", "plots") for entry in body(family).get(section, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def test_the_rules_are_the_stages() -> None:
    rules = re.findall(r"(?m)^rule (\w+):", (ROOT / "Snakefile").read_text(encoding="utf-8"))
    assert rules == ["all", *FAMILIES]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rule_takes_everything_from_the_definition(family: str) -> None:
    text = (ROOT / "Snakefile").read_text(encoding="utf-8")
    rule = re.split(r"(?m)^(?=rule )", text.split(f"rule {family}:")[1])[0]
    instance = "@{wildcards.key}" if "foreach" in DEFINITION[family] else ""
    for line in (f'dag.inputs("{family}")', f'dag.outputs("{family}")', f'stage("{family}{instance}")'):
        assert line in rule


@pytest.mark.parametrize("family", FAMILIES)
def test_every_stage_runs_its_own_module(family: str) -> None:
    assert (ROOT / "src/diffusionbert/stages" / f"{family}.py").is_file()
    assert f"python -m diffusionbert.stages.{family} " in body(family)["cmd"]


def test_every_stage_module_is_a_stage() -> None:
    modules = {path.stem for path in (ROOT / "src/diffusionbert/stages").glob("*.py")}
    assert modules - {"__init__", "shell", "compute", "inputs", "processes", "estimate", "canvases"} == set(FAMILIES)


def instances(family: str, params: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Name and entry of each; a list has names alone, and a family without instances one without a name."""
    if "foreach" not in DEFINITION[family]:
        return [("", {})]
    node = params
    for word in DEFINITION[family]["foreach"].strip("${}").split("."):
        node = node[word]
    return [(name, {}) for name in node] if isinstance(node, list) else list(node.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_key_of_params_is_there(family: str) -> None:
    params = read_yaml(ROOT / "profiles/default.yaml")
    for key, item in instances(family, params):
        values = {"profile": params["profile"], "key": key, "item": key}
        values |= {f"item.{name}": value for name, value in item.items()}
        for name in body(family).get("params", []):
            resolved = name
            for word, value in values.items():
                resolved = resolved.replace(f"${{{word}}}", str(value))
            node = params
            for word in resolved.split("."):
                assert word in node, f"{family}: dvc.yaml names {resolved}, profiles/default.yaml has not"
                node = node[word]


@pytest.mark.parametrize("family", FAMILIES)
def test_results_lie_in_a_folder_per_stage(family: str) -> None:
    instance = ("${key}",) if "foreach" in DEFINITION[family] else ()
    for out in outs(family):
        words = PurePosixPath(out.replace("${item}", "${key}")).parts
        assert words[:2] == ("results", "${profile}")
        if family == "report":
            assert len(words) == 3
        elif words[2] == "timing":
            assert words[3:] in [(family, "${key}.json"), (f"{family}.json",)]
        else:
            assert words[2:-1] == (family, *instance)


def test_every_instance_matches_its_rule(definition: Definition) -> None:
    for stage in definition.stages.values():
        patterns = [pattern.format(key=stage.key) for pattern in definition.patterns[stage.family]]
        assert sorted(patterns) == sorted(stage.outs)


def test_every_dependency_inside_results_is_made_by_a_stage(definition: Definition) -> None:
    made = [out for stage in definition.stages.values() for out in stage.outs]
    for stage in definition.stages.values():
        for dep in stage.deps:
            if dep.startswith("results/"):
                assert any(out == dep or out.startswith(f"{dep}/") for out in made), f"{stage.name}: {dep}"


def test_what_lies_below_a_changed_stage_is_stale() -> None:
    above = {"a": "", "b": "a", "c": "b", "d": "a", "e": ""}
    parents = {name: frozenset(letters) for name, letters in above.items()}
    assert closure(["b"], parents) == {"b", "c"}
    assert closure(["a", "always changed"], parents) == {"a", "b", "c", "d"}
    assert closure([], parents) == frozenset()


def test_the_code_under_deps_is_the_import_graph() -> None:
    """`make deps` brings dvc.yaml up to date."""
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    graph = grimp.build_graph(deps.PACKAGE, exclude_type_checking_imports=True, cache_dir=None)
    assert text == deps.rewritten(text, graph)


def test_what_systems_share_is_no_system() -> None:
    """An edit of one system's module would not reach another's that imports it."""
    graph = grimp.build_graph(deps.PACKAGE, exclude_type_checking_imports=True, cache_dir=None)
    assert "src/diffusionbert/arms/masked_steps.py" in deps.code_of("train", graph, per_arm=True)
    graph.add_import(importer="diffusionbert.arms.bert_mouth", imported="diffusionbert.arms.absorbing")
    with pytest.raises(ValueError, match=r"bert_mouth imports diffusionbert\.arms\.absorbing; expected what systems"):
        deps.code_of("train", graph, per_arm=True)


def test_editing_the_report_retrains_nothing_and_editing_the_bound_evaluates_again() -> None:
    code = {family: [dep for dep in body(family)["deps"] if dep.startswith("src/")] for family in FAMILIES}
    assert [family for family in FAMILIES if "src/diffusionbert/report" in code[family]] == ["report"]
    assert "src/diffusionbert/diffusion" in code["evaluate"]
    for family in ("train", "evaluate", "sample"):
        assert deps.ARM in code[family]
    no_dependency = {f"src/diffusionbert/{name}" for name in ("config", "arms/build.py", "arms", "tracking")}
    for paths in code.values():
        assert not no_dependency & {*paths}


def test_a_checkpoint_belongs_to_all_code_that_training_depends_on() -> None:
    for dep in body("train")["deps"]:
        if dep.startswith("src/"):
            assert any(f"{dep}/".startswith(f"src/diffusionbert/{room}/") for room in train.ROOMS), dep


def test_the_profiles_say_where_they_belong() -> None:
    assert load(ROOT / "params.yaml").profile in {path.stem for path in (ROOT / "profiles").glob("*.yaml")}
