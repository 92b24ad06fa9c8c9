"""The code of docs/adding-an-arm.md, run as it stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from diffusionbert.arms.base import Arm, Draw, Scorer
from diffusionbert.arms.build import vocabulary_of
from diffusionbert.corpus.batches import Batch, collate
from diffusionbert.corpus.shards import Shards
from diffusionbert.denoisers import backbone
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.evaluation import evaluate
from unit.small_arms import SHAPE, information_of

PAGE = Path(__file__).parents[3] / "docs" / "adding-an-arm.md"


@pytest.fixture
def shards(grammar_shards: Path) -> Shards:
    return Shards.open(grammar_shards)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    made = ModuleType("one_shot")
    monkeypatch.setitem(sys.modules, "one_shot", made)  # dataclasses look their module up
    exec(compile(code, str(PAGE), "exec"), made.__dict__)
    return made


@pytest.fixture
def arm(module: ModuleType, shards: Shards) -> Any:
    torch.manual_seed(0)
    model = backbone.fresh(SHAPE, shards.special.vocab_size)
    made = module.OneShot(
        module.Settings("random"), model, vocabulary_of(shards, information_of(shards)), shards.tokenizer_folder
    )
    made.module.eval()
    return made


def no_draw(batch: Batch) -> Draw:
    zeros = torch.zeros(len(batch.lengths), dtype=torch.int64)
    return Draw(zeros, zeros + 1, torch.zeros(batch.tokens.shape))


def test_it_is_an_arm_and_its_scorer_a_scorer(arm: Any) -> None:
    assert isinstance(arm, Arm)
    assert isinstance(arm.scorer([], 0.3), Scorer)


def test_it_is_scored_as_any_arm_and_padding_does_not_matter(arm: Any, shards: Shards) -> None:
    batches = [collate(shards["test"], list(range(4)), shards.special.pad_id)]
    plan: dict[str, Any] = {
        "num_strata": 2,
        "num_eval_steps": None,
        "seed": 0,
        "device": torch.device("cpu"),
        "label": "",
    }
    scores = evaluate(arm.scorer([], 0.3), batches, **plan)["exact"]
    alone = [collate(shards["test"], [index], shards.special.pad_id) for index in range(4)]
    apart = evaluate(arm.scorer([], 0.3), alone, **plan)["exact"]
    np.testing.assert_allclose(scores.nats, apart.nats, rtol=1e-5)
    loss = arm.loss(batches[0], no_draw(batches[0])).total.item()
    assert loss == pytest.approx(scores.nats.sum() / batches[0].lengths.sum().item(), rel=1e-5)


@torch.no_grad()
def test_the_probabilities_of_all_sentences_of_a_word_sum_to_one(arm: Any) -> None:
    words = torch.nonzero(arm.vocabulary.candidates)
    lengths = torch.ones(len(words), dtype=torch.int64)
    nats = arm.nats(arm.encode(lengths), words, torch.ones_like(words, dtype=torch.bool))
    assert torch.exp(-nats).sum().item() == pytest.approx(1.0, rel=1e-5)


def test_it_samples_words_and_trains(arm: Any, shards: Shards) -> None:
    *_, last = arm.sample(arm.vocabulary.blank(torch.tensor([5, 3])), 1, Truncation(), torch.Generator().manual_seed(0))
    assert arm.vocabulary.candidates[last.xt[0]].all()
    assert last.calls == 1
    batch = collate(shards["train"], list(range(16)), shards.special.pad_id)
    optimizer = torch.optim.AdamW(arm.module.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        loss = arm.loss(batch, no_draw(batch)).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.3
