"""What the spindle itself is on this corpus: clipping, relative information, its mean, lambda, T and smoothing."""

from __future__ import annotations

import numpy as np
import torch

from diffusionbert.denoisers.masked import MaskedDenoiser
from diffusionbert.deviations.figures import Array, Figures, bootstrap, exact, of_interval
from diffusionbert.deviations.ground import LINEAR, SHARE, SPINDLE, Ground
from diffusionbert.deviations.protocols import measure_cap, valid
from diffusionbert.diffusion.information import mean_information, token_information
from diffusionbert.diffusion.schedules import Linear, Spindle, log_frequency

LAMBDAS = (0.1, 0.3, 0.5)
STEPS = (64, 512, 2048)
SMOOTHINGS = (0.1, 1.0, 10.0)


def clipped_share(schedule: Spindle, counts: Array) -> float:
    """The share of the text's tokens whose curve of eq. 10 leaves [0, 1] somewhere on t = 1..T-1."""
    fraction = torch.arange(1, schedule.num_steps).double()[:, None] / schedule.num_steps
    relative = schedule.relative_information(schedule.information, None)
    line = schedule.spindle_lambda * torch.sin(fraction * torch.pi)
    # the first and last step are where a concave or convex curve leaves the interval, if it does at all
    ends = torch.stack([1 - fraction[i] - line[i] * relative for i in (0, -1)])
    clipped = (((ends > 1) | (ends < 0)).any(0) & ~schedule.information.isnan()).numpy()
    return float(counts[clipped].sum() / counts.sum())


def measure_clipping(ground: Ground) -> Figures:
    counts = ground.table.counts.astype(np.float64)
    over = "training tokens, all of them"
    figures = {
        f"clipped_{number:g}": exact(
            f"eq. 10 leaves [0, 1], corpus mean, lambda {number:g}",
            SHARE,
            clipped_share(ground.spindle(number), counts),
            over,
        )
        for number in LAMBDAS
    }
    return figures | measure_cap(ground)


def measure_relative(ground: Ground) -> Figures:
    """Eq. 12's H~ and the release's d over the tokens of the test sentences, each with its sentence's mean."""
    split = ground.shards["test"]
    frequency = log_frequency(ground.vocabulary.counts).numpy()
    sums = []
    for index in range(len(split)):
        tokens = split.tokens(index).astype(np.int64)
        information, w = ground.table.information[tokens], frequency[tokens]
        relative, d = 1 - information.mean() / information, w - w.mean()
        sums.append([len(tokens), *(float(x.sum()) for x in (relative, d, relative**2, d**2, relative * d))])
    table = np.array(sums)

    def moments(rows: np.ndarray) -> tuple[float, float, float, float]:
        n, h, d, hh, dd, hd = table[rows].sum(0)
        sd_h, sd_d = np.sqrt(hh / n - (h / n) ** 2), np.sqrt(dd / n - (d / n) ** 2)
        return sd_h, sd_d, (hd / n - h * d / n**2) / (sd_h * sd_d), -ground.released_lambda * hd / hh

    names = {
        "sd_paper": ("standard deviation of eq. 12's H~", "1"),
        "sd_release": ("standard deviation of the release's d", "1"),
        "correlation": ("their correlation", "1"),
        "nearest": (
            f"the lambda of eq. 12 nearest to the release's {ground.released_lambda:g} (least squares over tokens, "
            "before clipping)",
            "1",
        ),
    }
    over = f"{int(table[:, 0].sum()):,} tokens of {len(split):,} test sentences"
    return {
        key: of_interval(
            what,
            unit,
            bootstrap(lambda rows, place=place: moments(rows)[place], len(table), ground.seed),  # type: ignore[misc]
            over,
        )
        for place, (key, (what, unit)) in enumerate(names.items())
    }


def measure_mean(ground: Ground) -> Figures:
    arm = ground.trained(SPINDLE)
    corpus, sentence = ground.spindle(ground.spindle_lambda), ground.spindle(ground.spindle_lambda, "sentence")
    nats = {
        name: ground.score(arm, each, {"valid": valid(each)}, f"{name} mean")["valid"]
        for name, each in (("corpus", corpus), ("sentence", sentence))
    }
    return {
        "ratio": ground.ratio(
            "spindle arm (trained with the corpus mean), `valid`: sentence mean, estimated, against corpus mean",
            nats["sentence"],
            nats["corpus"],
        ),
        "nats": ground.difference("the same, difference", nats["sentence"], nats["corpus"]),
    }


def measure_strength(ground: Ground) -> Figures:
    arm = ground.trained(SPINDLE)
    figures: Figures = {}
    linear = ground.linear()
    base = ground.score(arm, linear, {"valid": valid(linear)}, "lambda 0")["valid"]
    for number in LAMBDAS:
        own = ground.spindle(number)
        nats = ground.score(arm, own, {"valid": valid(own)}, f"lambda {number:g}")["valid"]
        figures[f"lambda_{number:g}"] = ground.ratio(
            f"spindle arm (trained at {ground.spindle_lambda:g}), `valid`: lambda {number:g} against 0", nats, base
        )
    few = Linear(STEPS[0])
    shortest = ground.score(arm, few, {"valid": valid(few)}, f"T = {STEPS[0]}")["valid"]
    for number in STEPS[1:]:
        own_linear = Linear(number)
        nats = ground.score(arm, own_linear, {"valid": valid(own_linear)}, f"T = {number}")["valid"]
        figures[f"steps_{number}"] = ground.ratio(
            f"the same arm, linear, `valid`: T = {number} against {STEPS[0]}", nats, shortest
        )
    return figures


def measure_smoothing(ground: Ground) -> Figures:
    arm, table, number = ground.trained(SPINDLE), ground.table, ground.spindle_lambda
    counts = table.counts.astype(np.float64)
    schedules = {}
    for smoothing in SMOOTHINGS:
        probability, information = token_information(table.counts, table.candidates, smoothing)
        hbar = mean_information(probability, information)
        schedules[smoothing] = ground.spindle(number, information=torch.from_numpy(information), hbar=hbar)
    nats = {
        smoothing: ground.score(arm, each, {"valid": valid(each)}, f"smoothing {smoothing:g}")["valid"]
        for smoothing, each in schedules.items()
    }
    figures: Figures = {}
    for smoothing, each in schedules.items():
        figures[f"clipped_{smoothing:g}"] = exact(
            f"clipped at lambda {number:g} with {smoothing:g} added",
            SHARE,
            clipped_share(each, counts),
            "training tokens, all of them",
        )
    for smoothing in (SMOOTHINGS[0], SMOOTHINGS[-1]):
        figures[f"ratio_{smoothing:g}"] = ground.ratio(
            f"spindle arm, `valid`: {smoothing:g} added, against 1", nats[smoothing], nats[1.0]
        )
    return figures


def measure_precision(ground: Ground) -> Figures:
    """The release's linear schedule as it is kept, a product of 1 - beta in float64 cut to float32."""
    figures: Figures = {}
    for num_steps in (512, 1000, 2048):
        beta = 1 / (num_steps - torch.arange(num_steps).double())
        kept = torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - beta, 0)[:-1]]).float()
        steps = (kept - torch.cat([kept[1:], torch.zeros(1)])).double() * num_steps
        figures[f"step_{num_steps}"] = exact(
            f"largest relative error of a_s - a_t over the steps, T = {num_steps}, lambda 0",
            "1",
            float((steps - 1).abs().max()),
            "all t",
        )
    return figures


class _WithoutSep(MaskedDenoiser):
    """[SEP] is not attended to, wherever it stands, as in the release's training and scoring."""

    def encode(self, xt: torch.Tensor, lengths: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        framing, (batch, length) = self.framing, xt.shape
        place = torch.arange(length + 2, device=xt.device)
        framed = torch.full((batch, length + 2), framing.pad_id, device=xt.device)
        framed[:, 0] = framing.cls_id
        framed[:, 1:-1] = torch.where(place[:length] < lengths[:, None], xt, framing.pad_id)
        framed[:, -1] = framing.sep_id
        attended = (place <= lengths[:, None]).long()
        encoder = getattr(self.model, self.model.base_model_prefix)
        return encoder(input_ids=framed, attention_mask=attended).last_hidden_state[:, 1:-1]


def measure_sep(ground: Ground) -> Figures:
    figures: Figures = {}
    linear = ground.linear()
    for key, name, arm in (
        ("trained", "trained linear arm", ground.trained(LINEAR)),
        ("pretrained", "the same before its training", ground.untrained(LINEAR)),
    ):
        base = ground.score(arm, linear, {"valid": valid(linear)}, f"[SEP], {key}")["valid"]
        attending = arm.denoiser
        arm.denoiser = _WithoutSep(attending.model, attending.framing)
        arm.denoiser.to(ground.machine.device).eval()
        nats = ground.score(arm, linear, {"valid": valid(linear)}, f"no [SEP], {key}")["valid"]
        arm.denoiser = attending
        figures[key] = ground.ratio(f"{name}: [SEP] not attended to, against attended to", nats, base)
    return figures
