"""What samplers promise beside their law: calls, canvases, determinism."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from diffusionbert.diffusion.sampling import Canvas, State, ancestral, first_hitting, strided_grid
from diffusionbert.diffusion.schedules import Cosine, Linear, Schedule, Spindle
from diffusionbert.diffusion.truncation import Truncation

VOCABULARY, MASK, PAD = 12, 11, 0
CANDIDATES = torch.tensor([False, *[True] * 10, False])
INFORMATION = torch.tensor([math.nan, *[0.5 + 0.4 * v for v in range(10)], math.nan], dtype=torch.float64)
SCHEDULES: dict[str, Callable[[int], Schedule]] = {
    "linear": Linear,
    "cosine": Cosine,
    "spindle of lambda 0": lambda T: Spindle(T, INFORMATION, 0.0, "corpus", 2.0),
    "corpus": lambda T: Spindle(T, INFORMATION, 0.5, "corpus", 2.0),
    "sentence": lambda T: Spindle(T, INFORMATION, 0.5, "sentence"),
}


class Recorder:
    """A denoiser whose prediction depends on its input and (unless time-agnostic) on t; it remembers its inputs."""

    def __init__(self, time_agnostic: bool) -> None:
        self.time_agnostic = time_agnostic
        self.inputs: list[Tensor] = []
        self.steps: list[Tensor] = []
        self.predicted: list[int] = []

    def encode(self, xt: Tensor, lengths: Tensor, t: Tensor) -> Tensor:
        assert t.shape == (len(xt),)
        self.inputs.append(xt.clone())
        self.steps.append(t.clone())
        phase = xt.double().sum(-1, keepdim=True) + (0 if self.time_agnostic else t.double()[:, None])
        return torch.sin(phase[..., None] + torch.arange(xt.shape[1])[None, :, None] + 1.0)

    def predict(self, hidden: Tensor, positions: Tensor) -> Tensor:
        self.predicted.append(int(positions.sum()))
        logits = hidden[positions] * torch.arange(VOCABULARY) * 3
        logits[:, [PAD, MASK]] = 50.0  # what a denoiser thinks of [MASK] and [PAD] must not matter
        return logits


def run(
    name: str,
    predictor: Recorder,
    grid: Sequence[int],
    canvas: Canvas,
    *,
    hitting: bool = False,
    seed: int = 0,
    truncation: Truncation | None = None,
) -> list[State]:
    sampler = first_hitting if hitting else ancestral
    return list(
        sampler(
            predictor,
            SCHEDULES[name](grid[-1]),
            canvas,
            CANDIDATES,
            grid,
            truncation=truncation or Truncation(),
            rng=torch.Generator().manual_seed(seed),
        )
    )


LENGTHS = torch.tensor([5, 1, 3, 5])
HITTING = ["linear", "cosine", "spindle of lambda 0"]
BOTH = [*((name, False) for name in SCHEDULES), *((name, True) for name in HITTING)]


def blank() -> Canvas:
    return Canvas.blank(LENGTHS, MASK, PAD)


@pytest.mark.parametrize(("name", "hitting"), BOTH)
@pytest.mark.parametrize("num_steps", [1, 7, 40])
def test_no_mask_is_left_and_padding_is_untouched(name: str, hitting: bool, num_steps: int) -> None:
    canvas = blank()
    states = run(name, Recorder(False), range(num_steps + 1), canvas, hitting=hitting)
    end = states[-1].xt
    assert states[-1].t == 0
    assert bool(CANDIDATES[end[canvas.counted]].all())
    assert bool((end[~canvas.counted] == PAD).all())
    assert torch.equal(canvas.xt, Canvas.blank(LENGTHS, MASK, PAD).xt), "the canvas itself was written on"


@pytest.mark.parametrize(("name", "hitting"), BOTH)
def test_what_is_visible_stays_in_every_state(name: str, hitting: bool) -> None:
    xt = torch.tensor([[3, MASK, 4, MASK], [MASK, 5, MASK, 6]])
    masked = xt == MASK
    masked[1, 0] = False  # a [MASK] that is given is text, not a place to fill
    canvas = Canvas(xt, masked, torch.tensor([4, 4]))
    before = xt
    for state in run(name, Recorder(False), range(21), canvas, hitting=hitting):
        given = ~masked | (before != MASK)
        assert torch.equal(state.xt[given], before[given])
        before = state.xt
    assert torch.equal(before[~masked], xt[~masked])
    assert not bool((before[masked] == MASK).any())


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_time_agnostic_predictor_is_not_called_twice_on_one_input(name: str) -> None:
    predictor = Recorder(time_agnostic=True)
    states = run(name, predictor, range(201), blank())
    assert len(predictor.inputs) == states[-1].calls
    for before, after in zip(predictor.inputs, predictor.inputs[1:], strict=False):
        assert not torch.equal(before, after)
    assert states[-1].calls <= int(LENGTHS.sum()), "one call for each token that was revealed, at most"
    told = Recorder(time_agnostic=False)
    assert run(name, told, range(201), blank())[-1].calls == len(told.inputs)
    if name not in HITTING:  # there, a denoiser told the time has to be asked again
        assert len(told.inputs) > states[-1].calls


def test_the_cache_changes_no_sample() -> None:
    class Forgetful(Recorder):
        """Time-agnostic in truth, not by its flag: called at every step."""

        def encode(self, xt: Tensor, lengths: Tensor, t: Tensor) -> Tensor:
            self.time_agnostic = True
            hidden = super().encode(xt, lengths, t)
            self.time_agnostic = False
            return hidden

    for name in SCHEDULES:
        cached, called = Recorder(True), Forgetful(False)
        ours = run(name, cached, range(101), blank())
        theirs = run(name, called, range(101), blank())
        assert all(torch.equal(a.xt, b.xt) for a, b in zip(ours, theirs, strict=True))
        assert len(cached.inputs) <= len(called.inputs)


@pytest.mark.parametrize("name", HITTING)
def test_first_hitting_calls_at_most_once_a_position_or_a_step(name: str) -> None:
    for num_steps, most in ((2000, 5), (3, 3), (1, 1)):
        predictor = Recorder(False)
        states = run(name, predictor, range(num_steps + 1), blank(), hitting=True)
        assert states[-1].calls == len(predictor.inputs) <= most
        assert sum(predictor.predicted) == int(LENGTHS.sum()), "the head runs once for each position"


@pytest.mark.parametrize("name", HITTING)
def test_first_hitting_tells_each_sentence_its_own_step(name: str) -> None:
    predictor = Recorder(False)
    run(name, predictor, range(2001), blank(), hitting=True)
    for before, after in zip(predictor.steps, predictor.steps[1:], strict=False):
        # a sentence that is done (told t = 1) goes on at t = 1; the others go down
        assert bool(((after < before) | (after == 1)).all())
    assert len({int(t) for t in predictor.steps[0]}) > 1
    assert all(bool(((t >= 1) & (t <= 2000)).all()) for t in predictor.steps)


@pytest.mark.parametrize("name", HITTING)
def test_first_hitting_reveals_when_the_schedule_says(name: str) -> None:
    """P(tau = t) = a_s - a_t: the same over the steps for linear, whatever the first id of the vocabulary is."""
    num = 4000
    predictor = Recorder(False)
    run(name, predictor, [0, 1, 2, 4], Canvas.blank(torch.ones(num, dtype=torch.long), MASK, PAD), hitting=True)
    # one position a sentence: the step it is first told is its reveal step
    alpha = SCHEDULES[name](4).alpha_bar(torch.tensor([0, 1, 2, 4]), torch.ones(4, 1, dtype=torch.long))[:, 0]
    shares = [float((predictor.steps[0] == t).double().mean()) for t in (1, 2, 4)]
    assert shares == pytest.approx((-alpha.diff()).tolist(), abs=4 * 0.5 / num**0.5)


def test_first_hitting_refuses_a_schedule_that_looks_at_tokens() -> None:
    with pytest.raises(ValueError, match="ancestral"):
        run("corpus", Recorder(False), range(5), blank(), hitting=True)


@pytest.mark.parametrize(("name", "hitting"), BOTH)
def test_a_seed_is_a_sample(name: str, hitting: bool) -> None:
    first, again, other = (
        run(name, Recorder(False), range(11), blank(), hitting=hitting, seed=seed)[-1].xt for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("name", "hitting"), BOTH)
def test_top_one_is_the_likeliest_word(name: str, hitting: bool) -> None:
    class Certain(Recorder):
        """Prefers word 4 by little."""

        def predict(self, hidden: Tensor, positions: Tensor) -> Tensor:
            logits = torch.zeros(int(positions.sum()), VOCABULARY)
            logits[:, 4] = 0.7
            return logits

    end = run(name, Certain(False), [0, 9], blank(), hitting=hitting, truncation=Truncation(top_k=1))[-1].xt
    assert bool((end[blank().counted] == 4).all())


def test_a_denoiser_sure_of_a_word_that_cannot_be_masked_leaves_no_mask() -> None:
    """It changes its mind at t = 20 to a word whose a_t is 1 from there on: nothing is left, so it is revealed."""

    class Fickle(Recorder):
        def predict(self, hidden: Tensor, positions: Tensor) -> Tensor:
            logits = torch.full((int(positions.sum()), VOCABULARY), -math.inf)
            logits[:, 10 if int(self.steps[-1][0]) > 20 else 1] = 0.0
            return logits

    schedule = SCHEDULES["corpus"](40)
    assert bool((schedule.alpha_bar(torch.arange(1, 21), torch.ones(20, 1, dtype=torch.long)) == 1).all())
    canvas = blank()
    states = run("corpus", Fickle(False), range(41), canvas)
    end = states[-1].xt[canvas.counted]
    assert bool(((end == 1) | (end == 10)).all())
    assert bool((end == 1).any())


def test_states_tell_the_trajectory() -> None:
    states = run("corpus", Recorder(False), [0, 2, 4, 8], blank())
    assert [state.t for state in states] == [4, 2, 0]
    masks = [int((state.xt == MASK).sum()) for state in states]
    assert masks == sorted(masks, reverse=True)
    times = [state.t for state in run("linear", Recorder(False), range(101), blank(), hitting=True)]
    assert times == sorted(times, reverse=True)
    assert times[-1] == 0


def test_strided_grids() -> None:
    assert strided_grid(8, 8) == list(range(9))
    assert strided_grid(8, 2) == [0, 4, 8]
    assert strided_grid(8, 1) == [0, 8]
    for bad in (0, 3, 16):
        with pytest.raises(ValueError, match=f"{bad} steps do not divide"):
            strided_grid(8, bad)


def test_the_known_words_of_a_text_are_counted_and_its_source_is_not() -> None:
    masked = torch.tensor([[False, False, False, True, False, False], [False, True, True, False, False, False]])
    inner = torch.arange(6).expand(2, -1) < 4
    canvas = Canvas(torch.zeros(2, 6, dtype=torch.long), masked, torch.tensor([6, 4]), torch.tensor([2, 1]), inner)
    wanted = torch.tensor([[False, False, True, True, True, True], [False, True, True, True, False, False]])
    assert torch.equal(canvas.counted, wanted)
    assert canvas.inside.sum(-1).tolist() == [6, 4]
    twice = canvas.repeated(2)
    assert torch.equal(twice.counted, wanted[[0, 0, 1, 1]])
    assert twice.inner is not None
    assert torch.equal(twice.inner, inner[[0, 0, 1, 1]])
