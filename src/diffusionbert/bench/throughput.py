"""Tokens a second and the share of the machine's arithmetic that training uses."""

from __future__ import annotations

import torch

from diffusionbert.bench import rivals
from diffusionbert.bench.clock import Samples, take_turns
from diffusionbert.bench.figures import Figure, ratio_of
from diffusionbert.bench.rivals import framed
from diffusionbert.bench.sentences import Sentences, padding_share, stream_of
from diffusionbert.bench.steps import MOST, Plan, compile_encoder, rival_model
from diffusionbert.bench.subjects import PAD, Size, arm_of, batch_of
from diffusionbert.bench.turns import OURS, Rival, step_times
from diffusionbert.training import draw_for

FORMULA = (
    "model FLOPs of a training step = 3 x forward; forward = layers x positions x (8 H^2 + 4 H I + 4 L H) for the "
    "encoder + predicted rows x (2 H^2 + 2 H V) for the head, with width H, inner width I, length L, vocabulary V"
)
LEAST = 40.0  # percent
PRODUCT = {"cuda": 8192, "cpu": 1024}


def model_flops(size: Size, positions: int, length: int, predicted: int) -> float:
    """`FORMULA`: multiplications and additions count one each; softmaxes and normalisations are left out."""
    width, inner = size.width, size.inner
    encoder = size.layers * positions * (8 * width**2 + 4 * width * inner + 4 * length * width)
    head = predicted * (2 * width**2 + 2 * width * size.vocab_size)
    return 3.0 * (encoder + head)


def product_flops(device: torch.device, dtype: torch.dtype, repeats: int) -> float:
    """Operations a second of a square matrix product in training's precision, at its fastest: what the machine can."""
    extent = PRODUCT[device.type]
    left = torch.randn(extent, extent, device=device).to(dtype)
    right = torch.randn(extent, extent, device=device).to(dtype)
    samples = take_turns({"product": lambda: left @ right}, repeats=repeats, device=device, pieces=10)
    return float(2 * extent**3 / min(samples["product"].wall))


def predicted_rows(size: Size, name: str) -> int:
    """How many positions one batch predicts, on average over a few draws."""
    arm, batch = arm_of(size, name, torch.device("cpu")), batch_of(size)
    rows = [int(framed(arm, batch, draw_for(arm, batch, step, 0))[2].sum()) for step in range(8)]
    return round(sum(rows) / len(rows))


def figures(
    size: Size, steps: dict[str, dict[str, Samples]], rate: float, how: str, device: torch.device
) -> list[Figure]:
    """Tokens a second and utilisation of the steps of one length, per arm; `rate` is `product_flops`."""
    lines = []
    positions = size.batch * size.length
    for name, times in steps.items():
        seconds = times[OURS].median
        flops = model_flops(size, positions, size.length, predicted_rows(size, name))
        where = f"{name}, {how}, {size.batch} x {size.length}"
        told = {OURS: times[OURS].told()}
        lines.append(Figure(f"training tokens a second, {where}", round(positions / seconds), "tokens/s", times=told))
        if device.type == "cuda":  # a processor's clock moves too much between the steps and the product
            share = round(100 * flops / seconds / rate, 2)
            note = f"{flops / seconds / 1e12:.3g} TFLOP/s of {rate / 1e12:.3g} measured"
            lines.append(Figure(f"model-FLOP utilisation, {where}", share, "%", LEAST, "at least", note=note))
    return lines


def bucketed(size: Size, sentences: Sentences, plan: Plan, how: str) -> list[Figure]:
    """The same over batches bucketed by length, as training makes them: real tokens only are counted."""
    arm = arm_of(size, "linear", plan.device)
    stream = stream_of(sentences, size, PAD)
    compile_encoder(arm.denoiser.model, plan)
    rival: dict[str, Rival] = {"bare": rivals.bare(arm, rival_model(size, plan), plan.device, plan.autocast)}
    times = step_times(
        arm,
        stream.batch,
        rival,
        repeats=plan.repeats,
        pieces=plan.pieces,
        warm=2,
        device=plan.device,
        autocast=plan.autocast,
    )
    counted = range(2 * plan.pieces, (2 + plan.repeats) * plan.pieces)
    tokens = sum(int(stream.batch(step).lengths.sum()) for step in counted)
    seconds = sum(times[OURS].wall) * plan.pieces
    where = f"linear, {how}, batches of {size.batch} bucketed by length"
    return [
        Figure(f"training tokens a second, {where}", round(tokens / seconds), "tokens/s"),
        ratio_of(
            f"training step, {where}, over a bare masked-LM step", (OURS, times[OURS]), ("bare", times["bare"]), MOST
        ),
    ]


def padding(size: Size, sentences: Sentences, num_batches: int = 100) -> Figure:
    share = padding_share(stream_of(sentences, size, PAD), num_batches)
    return Figure(
        f"padding of batches of {size.batch} bucketed by length, {sentences.lengths.mean():.0f} tokens on average",
        round(100 * share, 2),
        "%",
        10.0,
    )
