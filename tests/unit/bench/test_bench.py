"""The benchmark at toy size: that everything is measured and told, not how long it took."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffusionbert.bench import __main__ as command
from diffusionbert.bench import arrays, page, rivals, sentences, steps, throughput
from diffusionbert.bench.clock import Samples, take_turns
from diffusionbert.bench.figures import Figure, met, verdict
from diffusionbert.bench.measurement import PARTS
from diffusionbert.bench.subjects import CLS, MASK, PAD, SEP, SIZES, arm_of, batch_of, model_of
from diffusionbert.bench.turns import OURS, step_times
from diffusionbert.files import read_json
from diffusionbert.training import draw_for

CPU = torch.device("cpu")
TOY = SIZES["toy"]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("bench") / "cpu.json"
    threads = torch.get_num_threads()
    assert command.main(["--size", "toy", "--repeats", "1", "--threads", "1", "--out", str(out)]) == 0
    torch.set_num_threads(threads)
    return read_json(out)  # type: ignore[no-any-return]


def test_every_part_has_figures_and_every_target_a_verdict(result: dict[str, Any]) -> None:
    assert set(PARTS) <= set(result["figures"])
    figures = [figure for part in result["figures"].values() for figure in part]
    names = [figure["what"] for figure in figures]
    assert len(names) == len(set(names))
    for figure in figures:
        assert isinstance(figure["value"], int | float)
        assert (figure["target"] is None) == (verdict(figure) == "")


@pytest.mark.parametrize(
    "words",
    [
        "training step, linear, eager",
        "training step, spindle, eager",
        "training step, released, eager",
        "forward draw and posterior, spindle",
        "one bound term, linear",
        "one bound term, spindle",
        "construction beyond the network",
        "sampler beyond the network, linear",
        "sampler beyond the network, spindle",
        "denoiser calls, first hitting",
        "largest array of a training step",
        "padding of batches",
    ],
)
def test_the_table_of_targets_is_measured(result: dict[str, Any], words: str) -> None:
    figures = [figure for part in result["figures"].values() for figure in part if figure["what"].startswith(words)]
    assert any(met(figure) is not None for figure in figures), words


def test_the_machine_is_named_without_its_host(result: dict[str, Any]) -> None:
    assert set(result["machine"]) == {
        *("device", "processor", "cores", "threads", "dtype", "python", "torch", "transformers")
    }


def test_the_page_shows_every_figure_and_says_that_no_gpu_ran(result: dict[str, Any]) -> None:
    text = page.rendered(result, None)
    for part in result["figures"].values():
        for figure in part:
            assert f"| {figure['what']} |" in text
    assert "Not run" in text
    assert page.rendered(result, result).count("### Training step") == 2


def test_a_missed_target_stands_at_the_top_of_the_page(result: dict[str, Any]) -> None:
    missed = Figure("a thing", 1.2, "x", 1.0).plain()
    text = page.rendered(result | {"figures": {"steps": [missed]}}, None)
    assert "0 of 1 targets met." in text
    assert "- Missed: a thing: 1.2x, missed by 20%." in text


def test_nothing_of_the_size_of_all_logits_is_made() -> None:
    """By a step over chunks whose budget one sentence's logits would pass: no (B, L, V) either way."""
    arm = arm_of(TOY, "spindle", CPU)
    batch = batch_of(TOY)
    draw = draw_for(arm, batch, 0, 0)
    with arrays.Watching(arm.module) as watching:
        arm.loss(batch, draw).total.backward()  # type: ignore[no-untyped-call]
    assert 0 < watching.largest.num_bytes < 4 * batch.tokens.numel() * TOY.vocab_size


def test_the_largest_array_is_found_in_the_backward_pass_too() -> None:
    weight = torch.ones(3, 4, requires_grad=True)
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(weight)
    with arrays.Watching(module) as watching:
        (module.weight.sum() * torch.ones(2)).sum().backward()
    assert watching.largest.shape == (2,)
    with arrays.Watching(module) as watching:
        wide = torch.zeros(2, requires_grad=True)
        wide[:, None].expand(2, 50).exp().sum().backward()
    assert watching.largest.shape == (2, 50)


@pytest.mark.parametrize("name", ["linear", "spindle", "released"])
def test_both_sides_predict_the_same_positions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arm, batch = arm_of(TOY, name, CPU), batch_of(TOY)
    draw = draw_for(arm, batch, 0, 0)
    asked: list[int] = []
    whole = arm.denoiser.predict

    def counting(hidden: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        asked.append(int(positions.sum()))
        return whole(hidden, positions)

    monkeypatch.setattr(arm.denoiser, "predict", counting)
    arm.loss(batch, draw)
    ids, attended, positions = rivals.framed(arm, batch, draw)
    assert sum(asked) == int(positions.sum()) > 0
    assert (ids[:, 0] == CLS).all()
    assert (ids[:, -1] == SEP).all()
    assert attended.all()
    if name != "released":
        assert torch.equal(ids == MASK, positions)


def test_framing_of_padded_sentences_is_the_denoisers() -> None:
    arm = arm_of(TOY, "linear", CPU)
    batch = sentences.stream_of(sentences.like_news(TOY, 40), TOY, PAD).batch(0)
    seen: dict[str, torch.Tensor] = {}
    encoder = arm.denoiser.model.bert
    encoder.register_forward_pre_hook(lambda module, given, named: seen.update(named), with_kwargs=True)
    draw = draw_for(arm, batch, 0, 0)
    arm.loss(batch, draw)
    ids, attended, _ = rivals.framed(arm, batch, draw)
    assert torch.equal(seen["input_ids"], ids)
    assert torch.equal(seen["attention_mask"], attended)


def test_the_bare_step_trains() -> None:
    arm, batch, model = arm_of(TOY, "linear", CPU), batch_of(TOY), model_of(TOY)
    before = [weight.detach().clone() for weight in model.parameters()]
    rivals.bare(arm, model, CPU, nullcontext)(batch, draw_for(arm, batch, 0, 0))()
    assert any(not torch.equal(now, then) for now, then in zip(model.parameters(), before, strict=True))


def test_every_side_has_its_turn_in_every_round() -> None:
    arm, batch = arm_of(TOY, "linear", CPU), batch_of(TOY)
    order: list[str] = []
    whole = arm.loss

    def loss(*given: Any) -> Any:
        order.append(OURS)
        return whole(*given)

    arm.loss = loss  # type: ignore[method-assign]
    samples = step_times(
        arm,
        lambda step: batch,
        {"other": lambda batch, draw: lambda: order.append("other")},
        repeats=2,
        pieces=2,
        device=CPU,
        autocast=nullcontext,
    )
    assert order[:8] == ["other", "other", OURS, OURS, "other", "other", OURS, OURS]
    assert {name: len(found.wall) for name, found in samples.items()} == {OURS: 2, "other": 2}


def test_turns_are_taken_in_rounds() -> None:
    order: list[str] = []
    work = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    samples = take_turns(work, repeats=2, device=CPU)
    assert order == ["a", "b"] * 3
    assert len(samples["a"].wall) == 2
    assert Samples([3.0, 1.0, 2.0], [1.0]).told()["median_ms"] == 2000


def test_model_flops_of_a_known_case() -> None:
    """The head of one row over the toy's vocabulary, and one position through one layer, by hand."""
    head = 3 * (2 * 32 * 32 + 2 * 32 * 200)
    layer = 3 * (4 * 2 * 32 * 32 + 2 * 2 * 32 * 64 + 2 * 2 * 16 * 32)
    assert throughput.model_flops(TOY, 0, 16, 1) == head
    assert throughput.model_flops(TOY, 1, 16, 0) == layer


def test_padding_of_bucketed_batches_is_small() -> None:
    tiny = SIZES["tiny"]
    made = sentences.like_news(tiny, 200 * tiny.batch)
    assert 25 < made.lengths.mean() < 27
    assert met(throughput.padding(tiny, made).plain())


def test_sentences_are_read_from_a_file_and_bad_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, tokens=np.array([7, 8, 9]), lengths=np.array([1, 2]))
    held = sentences.read(path, TOY)
    assert [held.tokens(place).tolist() for place in range(len(held))] == [[7], [8, 9]]
    for arrays_of in (
        {"tokens": np.array([7])},
        {"tokens": np.array([7, 8]), "lengths": np.array([1])},
        {"tokens": np.array([7, 200]), "lengths": np.array([2])},
        {"tokens": np.full(40, 7), "lengths": np.array([40])},
        {"tokens": np.full((2, 2), 7), "lengths": np.array([4])},
        {"tokens": np.array([7.5]), "lengths": np.array([1])},
        {"tokens": np.array([None]), "lengths": np.array([1])},
    ):
        np.savez(path, **arrays_of)
        with pytest.raises(ValueError, match=r"data\.npz"):
            sentences.read(path, TOY)
    for content in (b"", b"not an array", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"data\.npz"):
            sentences.read(path, TOY)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command.main(["--device", "cuda", "--out", str(tmp_path / "gpu.json")]) == 1
    told = capsys.readouterr().err.strip()
    assert told.startswith("error: bench: --device: found 'cuda'")
    assert "\n" not in told


def test_compiled_steps_compile_the_encoder_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    plan = steps.Plan(CPU, nullcontext, repeats=1, compiled=True)
    found = steps.training_steps(TOY, plan)
    assert compiled == ["BertModel"] * 2 * len(found)


ALLOWED = """
import sys
sys.modules.update(dict.fromkeys({absent!r}))  # to import one of these raises ModuleNotFoundError
import diffusionbert.bench.__main__, diffusionbert.bench.page
"""


def test_it_imports_with_torch_transformers_and_numpy_alone() -> None:
    absent = {
        *("pydantic", "mlflow", "dvc", "snakemake", "pyarrow", "datasets", "pandas", "nltk", "psutil"),
        *("jaxtyping", "beartype", "ruamel", "matplotlib", "jinja2"),
    }
    subprocess.run([sys.executable, "-c", ALLOWED.format(absent=absent)], check=True, timeout=120)


def test_the_committed_page_is_written_from_the_committed_results() -> None:
    assert page.CPU.exists(), "make bench writes it"
    others = [read_json(path) if path.exists() else None for path in (page.GPU, page.FAULTS)]
    expected = page.rendered(read_json(page.CPU), *others)
    assert page.PAGE.read_text(encoding="utf-8") == expected


def test_the_result_goes_to_its_default_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "result", lambda request: {"size": request.size.described})
    assert command.main(["--size", "toy", "--parts", "arrays"]) == 0
    assert (tmp_path / "results/bench/cpu.json").exists()
