"""Noise schedules: how long each token stays visible. Values, not strings.

A schedule answers three things about a token v at step t (integer, or real for continuous time and strided grids):
alpha_bar, the probability that v is still visible; the reveal probability between two steps; and the rate of its
continuous-time limit. t = 0 is data, t = T is all [MASK]: both ends are assigned, not evaluated, because the prior
term of the bound is 0 only then (and a float sin(pi) is not). Everything is float64.

`mean` is the per-sentence number that some schedules need: Hbar of the sentence for the spindle of eq. 12, the mean
log-frequency for the release's; `sentence_mean(x0, counted)` computes it, and it is None where none is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from diffusionbert.shapes import Bool, Float, Int


@runtime_checkable
class Schedule(Protocol):
    """What the process, the bound and the samplers ask of a schedule; T is `num_steps`."""

    @property
    def num_steps(self) -> int: ...

    @property
    def token_independent(self) -> bool:
        """Whether alpha_bar is the same for every token, so that the schedule factor cancels."""
        ...

    @property
    def uses_sentence_mean(self) -> bool:
        """Whether alpha_bar depends on the whole of x0, which the reverse process can only estimate."""
        ...

    def sentence_mean(self, x0: Int[Tensor, "B L"], counted: Bool[Tensor, "B L"]) -> Float[Tensor, B] | None: ...

    def alpha_bar(
        self, t: Tensor, tokens: Int[Tensor, "B L"], mean: Float[Tensor, B] | None = None
    ) -> Float[Tensor, "B L"]:
        """a_t of the given tokens; t is (B,)."""
        ...

    def alpha_bar_of_vocabulary(self, t: Tensor, mean: Float[Tensor, B] | None = None) -> Float[Tensor, "B _"]:
        """a_t of every token, (B, V), or (B, 1) where it is the same for all; t is (B,)."""
        ...

    def decay(
        self, t: Tensor, tokens: Int[Tensor, "B L"], mean: Float[Tensor, B] | None = None
    ) -> Float[Tensor, "B L"]:
        """-da/dt of the given tokens, per step."""
        ...

    def decay_of_vocabulary(self, t: Tensor, mean: Float[Tensor, B] | None = None) -> Float[Tensor, "B _"]:
        """-da/dt of every token, per step; shaped as alpha_bar_of_vocabulary."""
        ...


def stay_probability(alpha_bar_s: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """1 - r = (1 - a_s) / (1 - a_t): a token masked at t is still masked at s < t (Bayes).

    Never by subtraction from r. A token with a_t = 1 cannot be masked; its value, 1, is never used.
    """
    hidden_t = 1 - alpha_bar_t
    return torch.where(hidden_t > 0, (1 - alpha_bar_s) / torch.where(hidden_t > 0, hidden_t, 1.0), 1.0)


def reveal_probability(alpha_bar_s: Tensor, alpha_bar_t: Tensor) -> Tensor:
    """r = (a_s - a_t) / (1 - a_t): the Bayes posterior of the forward process that a masked token is revealed."""
    hidden_t = 1 - alpha_bar_t
    return torch.where(hidden_t > 0, (alpha_bar_s - alpha_bar_t) / torch.where(hidden_t > 0, hidden_t, 1.0), 0.0)


def reveal_rate(alpha_bar_t: Tensor, decay_t: Tensor) -> Tensor:
    """rho = -a' / (1 - a), the limit of r per step as the step goes to 0; 0 where nothing can be masked."""
    hidden = 1 - alpha_bar_t
    return torch.where(hidden > 0, decay_t / torch.where(hidden > 0, hidden, 1.0), 0.0)


def _with_ends(t: Tensor, num_steps: int, inside: Tensor) -> Tensor:
    """a_0 = 1 and a_T = 0 assigned; t broadcasts over the last axis of `inside`."""
    t = t.unsqueeze(-1)
    return torch.where(t <= 0, 1.0, torch.where(t >= num_steps, 0.0, inside))


def _check(num_steps: int, spindle_lambda: float = 0.0) -> None:
    if num_steps < 1:
        raise ValueError(f"num_steps is {num_steps}; expected at least 1")
    if not 0 <= spindle_lambda < math.inf:
        raise ValueError(f"spindle_lambda is {spindle_lambda}; expected a number >= 0")


class _TokenIndependent:
    """The parts shared by schedules that look at no token."""

    token_independent = True
    uses_sentence_mean = False
    num_steps: int

    def _curve(self, fraction: Tensor) -> Tensor:
        raise AssertionError("each token-independent schedule has its own curve")

    def _slope(self, fraction: Tensor) -> Tensor:
        raise AssertionError("each token-independent schedule has its own slope")

    def sentence_mean(self, x0: Tensor, counted: Tensor) -> None:
        return None

    def alpha_bar_of_vocabulary(self, t: Tensor, mean: Tensor | None = None) -> Tensor:
        t = t.double()
        return _with_ends(t, self.num_steps, self._curve(t / self.num_steps).unsqueeze(-1))

    def alpha_bar(self, t: Tensor, tokens: Tensor, mean: Tensor | None = None) -> Tensor:
        return self.alpha_bar_of_vocabulary(t).expand(tokens.shape)

    def decay_of_vocabulary(self, t: Tensor, mean: Tensor | None = None) -> Tensor:
        return (self._slope(t.double() / self.num_steps) / self.num_steps).unsqueeze(-1)

    def decay(self, t: Tensor, tokens: Tensor, mean: Tensor | None = None) -> Tensor:
        return self.decay_of_vocabulary(t).expand(tokens.shape)


@dataclass(frozen=True)
class Linear(_TokenIndependent):
    """a_t = 1 - t/T, that is beta_t = 1/(T - t + 1): D3PM's mutual-information schedule."""

    num_steps: int

    def __post_init__(self) -> None:
        _check(self.num_steps)

    def _curve(self, fraction: Tensor) -> Tensor:
        return 1 - fraction

    def _slope(self, fraction: Tensor) -> Tensor:
        return torch.ones_like(fraction)


@dataclass(frozen=True)
class Cosine(_TokenIndependent):
    """a_t = cos(pi t / 2T)^2, the squared-cosine curve of Nichol and Dhariwal (2021) without its offset."""

    num_steps: int

    def __post_init__(self) -> None:
        _check(self.num_steps)

    def _curve(self, fraction: Tensor) -> Tensor:
        return torch.cos(fraction * (math.pi / 2)) ** 2

    def _slope(self, fraction: Tensor) -> Tensor:
        return torch.sin(fraction * math.pi) * (math.pi / 2)


def _spindle(t: Tensor, num_steps: int, spindle_lambda: float, relative: Tensor, most: float = 1.0) -> Tensor:
    """clip(1 - t/T - S(t) H~, 0, most) with S(t) = lambda sin(pi t/T): eq. 10 and 11, clipped; t is (B,)."""
    fraction = (t.double() / num_steps).unsqueeze(-1)
    weight = spindle_lambda * torch.sin(fraction * math.pi)
    return _with_ends(t, num_steps, (1 - fraction - weight * relative).clamp(0.0, most))


def _spindle_decay(t: Tensor, num_steps: int, spindle_lambda: float, relative: Tensor, most: float = 1.0) -> Tensor:
    """-da/dt of `_spindle`; 0 where the curve is clipped."""
    fraction = (t.double() / num_steps).unsqueeze(-1)
    inside = 1 - fraction - spindle_lambda * torch.sin(fraction * math.pi) * relative
    slope = (1 + spindle_lambda * math.pi * torch.cos(fraction * math.pi) * relative) / num_steps
    return torch.where((inside > 0) & (inside < most), slope, 0.0)


@dataclass(frozen=True, eq=False)
class Spindle:
    """a_t(v) = clip(1 - t/T - lambda sin(pi t/T) (1 - Hbar/H(v)), 0, 1): eq. 9 to 12, clipped.

    `information` is H(v) in nats, (V,) float64, NaN for ids that are no word of a text (their a_t is 1: they are
    never masked). `mean` says which Hbar: 'sentence' is eq. 12's, 'corpus' one constant, `corpus_mean`, which makes
    a_t a function of the token alone. lambda = 0 is `Linear`, bit for bit.
    """

    num_steps: int
    information: Float[Tensor, V]
    spindle_lambda: float
    mean: str  # "corpus" or "sentence"
    corpus_mean: float = math.nan

    def __post_init__(self) -> None:
        _check(self.num_steps, self.spindle_lambda)
        if self.mean not in ("corpus", "sentence"):
            raise ValueError(f"spindle mean is '{self.mean}'; expected 'corpus' or 'sentence'")
        if self.mean == "corpus" and not self.corpus_mean > 0:
            raise ValueError(f"corpus_mean is {self.corpus_mean}; the corpus spindle needs one > 0 (nats)")
        known = self.information[~self.information.isnan()]
        if len(known) == 0 or not bool((known > 0).all()) or not bool(known.isfinite().all()):
            raise ValueError("the spindle needs finite information > 0 for every candidate token")

    @property
    def token_independent(self) -> bool:
        return self.spindle_lambda == 0

    @property
    def uses_sentence_mean(self) -> bool:
        return self.mean == "sentence" and self.spindle_lambda > 0

    def sentence_mean(self, x0: Tensor, counted: Tensor) -> Tensor | None:
        """Hbar = sum_j H(x0^j) / n over the counted positions (eq. 12), in nats."""
        if not self.uses_sentence_mean:
            return None
        information = torch.where(counted, self.information[x0], 0.0)
        return information.sum(-1) / counted.sum(-1)

    def relative_information(self, information: Tensor, mean: Tensor | None) -> Tensor:
        """H~ = 1 - Hbar / H(v) (eq. 12), 0 where H is not defined; `mean` is (B,), None for the corpus mean."""
        if self.mean == "corpus" or self.spindle_lambda == 0:
            hbar: Tensor | float = self.corpus_mean if self.mean == "corpus" else 0.0
        else:
            if mean is None:
                raise ValueError("this spindle uses the sentence mean, and none was given")
            hbar = mean.unsqueeze(-1)
        return 1 - hbar / information

    def _at(self, t: Tensor, information: Tensor, mean: Tensor | None) -> Tensor:
        relative = self.relative_information(information, mean)
        alpha_bar = _spindle(t, self.num_steps, self.spindle_lambda, relative)
        return torch.where(information.isnan(), 1.0, alpha_bar)

    def _decay_at(self, t: Tensor, information: Tensor, mean: Tensor | None) -> Tensor:
        relative = self.relative_information(information, mean)
        decay = _spindle_decay(t, self.num_steps, self.spindle_lambda, relative)
        return torch.where(information.isnan(), 0.0, decay)

    def alpha_bar(self, t: Tensor, tokens: Tensor, mean: Tensor | None = None) -> Tensor:
        return self._at(t, self.information[tokens], mean)

    def alpha_bar_of_vocabulary(self, t: Tensor, mean: Tensor | None = None) -> Tensor:
        return self._at(t, self.information.unsqueeze(0), mean)

    def decay(self, t: Tensor, tokens: Tensor, mean: Tensor | None = None) -> Tensor:
        return self._decay_at(t, self.information[tokens], mean)

    def decay_of_vocabulary(self, t: Tensor, mean: Tensor | None = None) -> Tensor:
        return self._decay_at(t, self.information.unsqueeze(0), mean)


RELEASED_CAP = 0.999  # the release's keep probability never exceeds this, except at t = 0


@dataclass(frozen=True, eq=False)
class ReleasedSpindle:
    """The published code's own schedule: k_t = clip(1 - t/T + lambda sin(pi t/T) d, 0, 0.999), k_0 = 1.

    d = w(v) - mean of w over the sentence, with w(v) = ln(c_v + 1) / max ln(c + 1): linear in the log-frequency, not
    eq. 12. `log_frequency` is w, (V,) float64. Only the `released` protocol uses it: its posterior does not follow
    from its marginals, so nothing scored under it is a bound for lambda > 0.
    """

    num_steps: int
    log_frequency: Float[Tensor, V]
    spindle_lambda: float

    token_independent = False
    uses_sentence_mean = True

    def __post_init__(self) -> None:
        _check(self.num_steps, self.spindle_lambda)

    def sentence_mean(self, x0: Tensor, counted: Tensor) -> Tensor:
        """The mean of w over the counted positions."""
        return torch.where(counted, self.log_frequency[x0], 0.0).sum(-1) / counted.sum(-1)

    def _at(self, t: Tensor, frequency: Tensor, mean: Tensor | None) -> Tensor:
        assert mean is not None, "the release's spindle centres w over the sentence"
        return _spindle(t, self.num_steps, self.spindle_lambda, mean.unsqueeze(-1) - frequency, RELEASED_CAP)

    def _decay_at(self, t: Tensor, frequency: Tensor, mean: Tensor | None) -> Tensor:
        assert mean is not None, "the release's spindle centres w over the sentence"
        return _spindle_decay(t, self.num_steps, self.spindle_lambda, mean.unsqueeze(-1) - frequency, RELEASED_CAP)

    def alpha_bar(self, t: Tensor, tokens: Tensor, mean: Tensor | None = None) -> Tensor:
        return self._at(t, self.log_frequency[tokens], mean)

    def alpha_bar_of_vocabulary(self, t: Tensor, mean: Tensor | None = None) -> Tensor:
        return self._at(t, self.log_frequency.unsqueeze(0), mean)

    def decay(self, t: Tensor, tokens: Tensor, mean: Tensor | None = None) -> Tensor:
        return self._decay_at(t, self.log_frequency[tokens], mean)

    def decay_of_vocabulary(self, t: Tensor, mean: Tensor | None = None) -> Tensor:
        return self._decay_at(t, self.log_frequency.unsqueeze(0), mean)

    def reveal_probability(self, s: Tensor, t: Tensor, alpha_bar_s: Float[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """beta k_s / (beta k_s + 1 - k_s) with the plain beta = (t - s) / (T - s), whatever the schedule is."""
        beta = self.transition(s, t).unsqueeze(-1)
        return beta * alpha_bar_s / (beta * alpha_bar_s + 1 - alpha_bar_s)

    def transition(self, s: Tensor, t: Tensor) -> Float[Tensor, B]:
        """beta = (t - s) / (T - s), which is 1/(T - t + 1) for one step."""
        return (t.double() - s.double()) / (self.num_steps - s.double())


def log_frequency(counts: Int[Tensor, V]) -> Float[Tensor, V]:
    """The release's w(v) = ln(c_v + 1) / max ln(c + 1), in [0, 1]."""
    logs = torch.log1p(counts.double())
    return logs / logs.max()
