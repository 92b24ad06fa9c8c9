"""BLEU against Self-BLEU over temperatures and top-k (Fig. 3 of the paper), and what `ahead` means there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusionbert.report.document import NOT_APPLICABLE, Table
from diffusionbert.report.evidence import Part, not_run, rows, spread
from diffusionbert.report.formats import interval, number
from diffusionbert.report.results import ArmResults, Results, Rows
from diffusionbert.report.verdicts import Effect, from_one_seed

DRAWS = 2000
NORMAL = 1.959964  # half a 95 % interval of a normal law in standard deviations
GRID = 50
PUBLISHED = "no values printed"

Array = NDArray[np.float64]


def drawn(results: Results) -> list[tuple[ArmResults, Rows]]:
    """The arms that have a frontier, with its points by rising Self-BLEU."""
    held = (results.metrics or {}).get("frontier", {})
    return [(arm, by_self_bleu(held[arm.name])) for arm in rows(results) if held.get(arm.name)]


def by_self_bleu(points: Rows) -> Rows:
    return sorted(points, key=lambda point: (point["self_bleu4"]["value"], point["bleu4"]["value"]))


def matched_difference(ours: Rows, theirs: Rows, seed: int = 0) -> Effect | None:
    """BLEU of ours minus theirs at equal Self-BLEU, averaged over the range of Self-BLEU that both reach.

    Each frontier is a straight line between its points; outside its points it is not continued. The interval is of
    a parametric bootstrap: every point's BLEU and Self-BLEU are drawn from normal laws with their own intervals, and
    a draw whose ranges do not meet is left out. None where the ranges do not meet, or in fewer than half of the draws.
    """
    value = _difference(_values(ours), _values(theirs))
    if value is None:
        return None
    rng = np.random.default_rng(seed)
    found = [_difference(_redrawn(ours, rng), _redrawn(theirs, rng)) for _ in range(DRAWS)]
    held = [each for each in found if each is not None]
    if len(held) < DRAWS / 2:
        return None
    low, high = np.percentile(held, [2.5, 97.5])
    return Effect(value, float(low), float(high))


def _values(points: Rows) -> Array:
    """(self_bleu4, bleu4) of every point, (P, 2)."""
    return np.array([[point["self_bleu4"]["value"], point["bleu4"]["value"]] for point in points])


def _redrawn(points: Rows, rng: np.random.Generator) -> Array:
    sd = [[_sd(point["self_bleu4"]), _sd(point["bleu4"])] for point in points]
    return _values(points) + np.array(sd) * rng.standard_normal((len(points), 2))


def _sd(held: dict[str, float]) -> float:
    return (held["high"] - held["low"]) / (2 * NORMAL)


def _difference(ours: Array, theirs: Array) -> float | None:
    one, other = (points[np.argsort(points[:, 0])] for points in (ours, theirs))
    low, high = max(one[0, 0], other[0, 0]), min(one[-1, 0], other[-1, 0])
    if low > high:
        return None
    grid = np.linspace(low, high, GRID)
    return float((np.interp(grid, one[:, 0], one[:, 1]) - np.interp(grid, other[:, 0], other[:, 1])).mean())


def parts(results: Results) -> list[Part]:
    """DiffusionBERT's frontier against every other system's: ahead of the diffusions and BERT-Mouth, behind the
    pretrained autoregressive model.
    """
    held = drawn(results)
    ours = _ours(held)
    if ours is None:
        missing = "a frontier of a pretrained absorbing arm"
        return [not_run("DiffusionBERT's frontier against the others'", PUBLISHED, missing, is_ratio=False)]
    rivals = [(arm, points, claimed) for arm, points in held if (claimed := _claimed(arm)) != 0]
    found = [_part(results, ours, (arm, points), claimed) for arm, points, claimed in rivals]
    if not any(claimed == 1 for *_, claimed in rivals):
        found.append(_absent("another non-autoregressive system"))
    if not any(claimed == -1 for *_, claimed in rivals):
        found.append(_absent("a pretrained autoregressive model"))
    return found


def _absent(what: str) -> Part:
    return not_run(f"DiffusionBERT against {what}", PUBLISHED, f"a frontier of {what}", is_ratio=False)


def _ours(held: Sequence[tuple[ArmResults, Rows]]) -> tuple[ArmResults, Rows] | None:
    """DiffusionBERT's frontier: the spindle arm's where there is one."""
    own = [each for each in held if (each[0].design.system, each[0].design.init) == ("absorbing", "pretrained")]
    return min(own, key=lambda each: each[0].design.schedule != "spindle", default=None)


def _claimed(arm: ArmResults) -> int:
    """1 where the paper has DiffusionBERT ahead of the system, -1 where behind, 0 where it says neither."""
    design = arm.design
    if design.system == "autoregressive":
        return -1 if design.init == "pretrained" else 0
    return 0 if (design.system, design.init) == ("absorbing", "pretrained") else 1


def _part(results: Results, ours: tuple[ArmResults, Rows], theirs: tuple[ArmResults, Rows], claimed: int) -> Part:
    compared = f"“{ours[0].label}” over “{theirs[0].label}”, BLEU-4 at equal Self-BLEU-4"
    if ours[0].group != theirs[0].group:
        return not_run(compared, PUBLISHED, "frontiers of one device, dtype and number of threads", is_ratio=False)
    effect = matched_difference(ours[1], theirs[1])
    if effect is None:
        return not_run(compared, PUBLISHED, "a range of Self-BLEU that both reach", is_ratio=False)
    decision = from_one_seed(effect, claimed, spread(results, "bleu4"), "samples")
    return Part(
        compared, PUBLISHED, effect, False, decision, "behind is claimed" if claimed < 0 else "ahead is claimed"
    )


def table(results: Results) -> Table:
    """Every point of every frontier, real text last."""
    lines = []
    for arm, points in drawn(results):
        lines += [[arm.label, *_point(point)] for point in points]
    real = (results.metrics or {}).get("frontier_real_text")
    if real:
        lines.append(["Real text", NOT_APPLICABLE, NOT_APPLICABLE, *_scores(real)])
    return Table(
        "Every point of Fig. 3",
        ["Arm", "Temperature", "Top-k", "Self-BLEU-4", "BLEU-4", "Entropy of words (nats)", "Samples"],
        lines,
        frozenset(range(1, 7)),
        " ".join(
            ["Self-BLEU rises with the number of samples; here it is the same at every point.", *_unmoved(results)]
        ),
    )


def _unmoved(results: Results) -> list[str]:
    """A line for every arm whose samples are the same whatever the setting: its frontier is one point."""
    still = [arm for arm, points in drawn(results) if len(points) > 1 and len(np.unique(_values(points), axis=0)) == 1]
    return [
        f"Neither temperature nor top-k moves “{arm.label}”: they act on the last draw of its words alone, which is as "
        "good as certain by then."
        if arm.design.system == "diffusion_lm"
        else f"Neither temperature nor top-k moves “{arm.label}”."
        for arm in still
    ]


def _point(point: dict[str, Any]) -> list[str]:
    top_k = "all" if point.get("top_k") is None else number(point["top_k"])
    return [f"{point['temperature']:g}", top_k, *_scores(point)]


def _scores(scores: dict[str, Any]) -> list[str]:
    pair = [interval(scores["self_bleu4"]), interval(scores["bleu4"])]
    return [*pair, number(scores.get("token_entropy_nats")), number(scores.get("samples"))]
