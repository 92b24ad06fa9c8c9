"""A dense reference of the whole method over a toy vocabulary, from its equations alone: numpy, float64, no shortcut.

Nothing here calls the library. A sentence over V words and [MASK] (id V) is a point of a space of (V + 1)^L states;
the reverse model is a distribution over that space, carried from step to step in full, and the bound is summed in its
textbook form, sum_t E_q KL(q(x_s | x_t, x_0) || p(x_s | x_t)), not in the reveal and timing terms of the library.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MIXED_IN = 0.01  # the share of the linear schedule in an estimated one (the method's eps)


def spindle(t: float, num_steps: int, strength: float, information: Array, mean: float) -> Array:
    """Eq. 9 to 12, clipped, one token after another; (V,)."""
    if t == 0:
        return np.ones_like(information)
    if t == num_steps:
        return np.zeros_like(information)
    curve = 1 - t / num_steps - strength * math.sin(math.pi * t / num_steps) * (1 - mean / information)
    return np.clip(curve, 0, 1)


def transition(alpha_s: float, alpha_t: float, token: int, num_words: int) -> Array:
    """The dense matrix q(x_t | x_s) of a sentence position whose x_0 is `token`: (V + 1, V + 1), rows sum to 1."""
    matrix = np.eye(num_words + 1)
    keep = alpha_t / alpha_s if alpha_s > 0 else 0.0
    matrix[token, token], matrix[token, num_words] = keep, 1 - keep
    return matrix


def posterior(alpha_s: float, alpha_t: float, token: int, state: int, num_words: int) -> Array:
    """q(x_s | x_t = state, x_0 = token) by Bayes over dense vectors and matrices, (V + 1,)."""
    start = np.zeros(num_words + 1)
    start[token] = 1.0
    marginal = start @ transition(1.0, alpha_s, token, num_words)
    joint = marginal * transition(alpha_s, alpha_t, token, num_words)[:, state]
    return joint / joint.sum()


@dataclass(frozen=True)
class Toy:
    """An arbitrary denoiser over every state, and the schedule it is used with.

    `logits` is (T + 1, states, L, V + 1): the last column, [MASK]'s, must be ignored. `mean` is the corpus mean in
    nats, or None where the sentence's own mean is used (and estimated by the reverse model).
    """

    num_steps: int
    length: int
    information: Array
    strength: float
    mean: float | None
    schedule_factor: bool
    logits: Array
    top_k: int | None = None

    @property
    def num_words(self) -> int:
        return len(self.information)

    @property
    def states(self) -> list[tuple[int, ...]]:
        return list(itertools.product(range(self.num_words + 1), repeat=self.length))

    @property
    def sentences(self) -> list[tuple[int, ...]]:
        return list(itertools.product(range(self.num_words), repeat=self.length))

    def index(self, state: tuple[int, ...]) -> int:
        number = 0
        for token in state:
            number = number * (self.num_words + 1) + token
        return number

    def prediction(self, t: int, state: tuple[int, ...]) -> Array:
        """p~ at every position, (L, V)."""
        logits = self.logits[t, self.index(state), :, : self.num_words]
        shifted = np.exp(logits - logits.max(-1, keepdims=True))
        return shifted / shifted.sum(-1, keepdims=True)

    def forward(self, t: int, sentence: tuple[int, ...]) -> Array:
        """a_t of the words of a sentence, (L,)."""
        words = self.information[list(sentence)]
        return spindle(t, self.num_steps, self.strength, words, self.mean or float(words.mean()))

    def believed(self, grid: tuple[int, int], state: tuple[int, ...]) -> tuple[Array, Array]:
        """a_s and a_t of every word as the reverse model may know them in this state, (V,) each."""
        if self.mean is not None or self.strength == 0:
            mean = self.mean or 1.0
            s, t = (spindle(u, self.num_steps, self.strength, self.information, mean) for u in grid)
            return s, t
        predicted = self.prediction(grid[1], state)
        guess = [
            predicted[i] @ self.information if word == self.num_words else self.information[word]
            for i, word in enumerate(state)
        ]
        curves = []
        for u in grid:
            curve = spindle(u, self.num_steps, self.strength, self.information, float(np.mean(guess)))
            curves.append((1 - MIXED_IN) * curve + MIXED_IN * (1 - u / self.num_steps))
        return curves[0], curves[1]

    def kernel(self, s: int, t: int, state: tuple[int, ...]) -> Array:
        """p(x_s = . | x_t = state) at every position, (L, V + 1); the last column is [MASK]."""
        alpha_s, alpha_t = self.believed((s, t), state)
        rows = np.zeros((self.length, self.num_words + 1))
        for i, word in enumerate(state):
            if word != self.num_words:
                rows[i, word] = 1.0
                continue
            weights = 1 - alpha_t if self.schedule_factor else (alpha_t < 1).astype(float)
            predicted = self.prediction(t, state)[i] * weights
            if self.top_k is not None:
                predicted = np.where(predicted >= np.sort(predicted)[-self.top_k], predicted, 0.0)
            predicted = predicted / predicted.sum()
            for v in range(self.num_words):
                if predicted[v] > 0:
                    revealed = (alpha_s[v] - alpha_t[v]) / (1 - alpha_t[v])
                    rows[i, v] = predicted[v] * revealed
                    rows[i, -1] += predicted[v] * (1 - revealed)
        return rows

    def probabilities(self, grid: list[int], start: tuple[int, ...] | None = None) -> dict[tuple[int, ...], float]:
        """The model's probability of every sentence, by carrying the distribution over all states down the grid.

        From `start` instead of all [MASK]: that of what is missing, its words given.
        """
        shape = (self.num_words + 1,) * self.length
        mass = np.zeros(shape)
        mass[start or (self.num_words,) * self.length] = 1.0
        for s, t in zip(grid[-2::-1], grid[:0:-1], strict=True):
            following = np.zeros(shape)
            for state in itertools.product(range(self.num_words + 1), repeat=self.length):
                if mass[state] > 0:
                    outer = np.ones(())
                    for row in self.kernel(s, t, state):
                        outer = np.multiply.outer(outer, row)
                    following += mass[state] * outer
            mass = following
        return {state: float(mass[state]) for state in self.states if mass[state] > 0}

    def noisy(self, t: int, sentence: tuple[int, ...]) -> list[tuple[tuple[int, ...], float]]:
        """Every x_t that q(x_t | x_0) can reach, with its probability; the unmasked sentence itself included."""
        alpha = self.forward(t, sentence)
        reached = []
        for masked in itertools.product((False, True), repeat=self.length):
            probability = math.prod(1 - a if m else a for a, m in zip(alpha, masked, strict=True))
            if probability > 0:
                words = zip(sentence, masked, strict=True)
                reached.append((tuple(self.num_words if m else w for w, m in words), probability))
        return reached

    def divergence(self, s: int, t: int, sentence: tuple[int, ...], state: tuple[int, ...], kernel: Array) -> float:
        """KL(q(x_s | x_t, x_0) || p(x_s | x_t)) in nats, summed over the positions."""
        alpha_s, alpha_t = self.forward(s, sentence), self.forward(t, sentence)
        total = 0.0
        for i, word in enumerate(state):
            if word == self.num_words:
                q = posterior(alpha_s[i], alpha_t[i], sentence[i], word, self.num_words)
                some = q > 0
                total += float((q[some] * np.log(q[some] / kernel[i, some])).sum())
        return total

    def bound(self, grid: list[int]) -> dict[tuple[int, ...], float]:
        """The NELBO of every sentence, in nats."""
        total = dict.fromkeys(self.sentences, 0.0)
        for s, t in itertools.pairwise(grid):
            kernels = {state: self.kernel(s, t, state) for state in self.states}
            for sentence in self.sentences:
                for state, probability in self.noisy(t, sentence):
                    total[sentence] += probability * self.divergence(s, t, sentence, state, kernels[state])
        return total


def toy(
    *,
    num_words: int = 3,
    length: int = 3,
    num_steps: int = 4,
    strength: float = 0.5,
    mean: str = "corpus",
    schedule_factor: bool = True,
    seed: int = 0,
    scale: float = 2.0,
    top_k: int | None = None,
    time_agnostic: bool = False,
) -> Toy:
    """A toy whose words have the probabilities of a steep Zipf law and whose denoiser is random in every state."""
    probability = 1 / np.arange(1, num_words + 1) ** 1.5
    probability /= probability.sum()
    information = -np.log(probability)
    corpus_mean = float(probability @ information)
    rng = np.random.default_rng(seed)
    logits = scale * rng.standard_normal((num_steps + 1, (num_words + 1) ** length, length, num_words + 1))
    if time_agnostic:
        logits = np.broadcast_to(logits[:1], logits.shape).copy()
    return Toy(
        num_steps=num_steps,
        length=length,
        information=information,
        strength=strength,
        mean=corpus_mean if mean == "corpus" else None,
        schedule_factor=schedule_factor,
        logits=logits,
        top_k=top_k,
    )
