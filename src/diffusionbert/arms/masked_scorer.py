"""Scores any arm over a masked LM under forward processes of one's choice: the protocols, and any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from diffusionbert.arms.base import Draw, Figure, Vocabulary
from diffusionbert.arms.masked_steps import OverMasked, noisy_steps
from diffusionbert.corpus.batches import Batch
from diffusionbert.diffusion.bound import Terms
from diffusionbert.diffusion.control import control, expected_control
from diffusionbert.diffusion.importance import trajectory_log_weights
from diffusionbert.diffusion.protocols import Scoring, same_process, valid_under
from diffusionbert.diffusion.schedules import Linear, Schedule, Spindle


def orders_of(
    orders: Sequence[float], vocabulary: Vocabulary, num_steps: int, *, continuous: bool
) -> dict[str, Scoring]:
    """`valid` under the corpus-mean spindle of every lambda in `orders`; that of 0 is the linear schedule."""
    scores = {}
    for spindle_lambda in orders:
        name = "order_linear" if spindle_lambda == 0 else f"order_spindle_{spindle_lambda:g}"
        scores[name] = valid_under(_order(spindle_lambda, vocabulary, num_steps), continuous=continuous)
    return scores


def _order(spindle_lambda: float, vocabulary: Vocabulary, num_steps: int) -> Schedule:
    if spindle_lambda == 0:
        return Linear(num_steps)
    return Spindle(num_steps, vocabulary.information, spindle_lambda, "corpus", vocabulary.mean_information)


class MaskedScorer:
    """Scores an arm over a masked LM; figures that share a forward process share the denoiser's pass.

    `own` is the arm's own process, whose trajectories can be weighed.
    """

    def __init__(self, arm: OverMasked, scores: dict[str, Scoring], own: Schedule, *, continuous: bool) -> None:
        self.arm, self.scores, self.own, self.continuous = arm, scores, own, continuous
        self.num_steps: int | None = own.num_steps
        self.figures: Mapping[str, Figure] = {
            name: Figure(scoring.is_bound, scoring.described) for name, scoring in scores.items()
        }

    def __call__(self, batch: Batch, draw: Draw, names: Sequence[str]) -> dict[str, Terms]:
        results: dict[str, Terms] = {}
        waiting = {name: self.scores[name] for name in names}
        while waiting:
            schedule = next(iter(waiting.values())).schedule
            alike = [name for name, scoring in waiting.items() if same_process(schedule, scoring.schedule)]
            chunks = [
                {name: waiting[name].terms(step) for name in alike}
                for step in noisy_steps(self.arm, batch, draw, schedule)
            ]
            for name in alike:
                del waiting[name]
                results[name] = Terms.joined([chunk[name] for chunk in chunks])
        return results

    def control(self, batch: Batch, draw: Draw, name: str) -> Tensor:
        return control(
            self.scores[name].schedule,
            batch.tokens,
            batch.counted,
            draw.s,
            draw.t,
            draw.uniforms,
            self.arm.vocabulary.information,
            continuous=self.continuous,
        )

    def expected_control(self, batch: Batch, grid: Sequence[int], name: str) -> Tensor:
        schedule, information = self.scores[name].schedule, self.arm.vocabulary.information
        return expected_control(schedule, batch.tokens, batch.counted, information, grid, continuous=self.continuous)

    def trajectory_weights(self, batch: Batch, uniforms: Tensor, grid: Sequence[int]) -> Tensor:
        return trajectory_log_weights(
            self.arm.denoiser,
            self.own,
            batch.tokens,
            batch.lengths,
            self.arm.vocabulary.candidates,
            self.arm.vocabulary.mask_id,
            grid,
            uniforms,
            given=batch.given,
        )
