"""LTE and PTE on every family: nothing changes before the first step, and everything can after it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from diffusionbert.denoisers import backbone
from diffusionbert.denoisers.layer_time import LayerTime
from diffusionbert.denoisers.masked import MaskedDenoiser
from diffusionbert.denoisers.time import time_module
from diffusionbert.denoisers.time_map import sinusoid
from families import FAMILIES, FRAMING, family_model

LENGTHS = torch.tensor([23, 4, 11])
INSIDE = torch.arange(23) < LENGTHS[:, None]
T = torch.tensor([1, 100, 512])
BOTH = pytest.mark.parametrize("design", ["lte", "pte"])


def sentences() -> Tensor:
    return torch.where(INSIDE, torch.randint(5, 50, INSIDE.shape, generator=torch.Generator().manual_seed(1)), 0)


def told(design: str, model: Any) -> MaskedDenoiser:
    return MaskedDenoiser(model, FRAMING, time_module(design, model, 512)).eval()


def predicted(denoiser: MaskedDenoiser, t: Tensor = T) -> Tensor:
    return denoiser.predict(denoiser.encode(sentences(), LENGTHS, t), INSIDE)


def moved(denoiser: MaskedDenoiser) -> MaskedDenoiser:
    """As if it had been trained: its time module is no longer zero."""
    assert denoiser.time is not None
    with torch.no_grad():
        for parameter in denoiser.time.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    return denoiser


@BOTH
@pytest.mark.parametrize("family", FAMILIES)
def test_each_design_is_the_identity_at_initialisation(family: str, design: str) -> None:
    model = family_model(family)
    with torch.no_grad():
        plain = predicted(MaskedDenoiser(model, FRAMING))
        assert plain.abs().max() > 1
        torch.testing.assert_close(predicted(told(design, model)), plain, rtol=1e-5, atol=5e-6)


@BOTH
@pytest.mark.parametrize("family", FAMILIES)
def test_after_training_each_sentence_is_told_its_own_t(family: str, design: str) -> None:
    model = family_model(family)
    with torch.no_grad():
        plain, denoiser = predicted(MaskedDenoiser(model, FRAMING)), moved(told(design, model))
        one, other = predicted(denoiser), predicted(denoiser, T[[0, 2, 2]])
    assert (one - plain).abs().max() > 1e-2
    sentence = INSIDE.nonzero()[:, 0]
    changed = (one - other).abs().amax(-1) > 1e-4
    assert not changed[sentence != 1].any()
    assert changed[sentence == 1].all()


@BOTH
@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_nothing_once_trained(family: str, design: str) -> None:
    denoiser = moved(told(design, family_model(family)))
    with torch.no_grad():
        together = predicted(denoiser)[23:27]
        alone = denoiser.predict(denoiser.encode(sentences()[1:2, :4], LENGTHS[1:2], T[1:2]), INSIDE[1:2, :4])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


@BOTH
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_every_part_of_the_time_module(family: str, design: str) -> None:
    denoiser = moved(told(design, family_model(family)))
    assert denoiser.time is not None
    predicted(denoiser).logsumexp(-1).sum().backward()
    for name, parameter in denoiser.time.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@BOTH
def test_the_first_step_moves_the_zeros(design: str) -> None:
    denoiser = told(design, family_model("bert"))
    assert denoiser.time is not None
    predicted(denoiser).logsumexp(-1).sum().backward()
    zeros = [each for each in denoiser.time.parameters() if not each.detach().any()]
    assert zeros
    assert all(each.grad is not None and bool(each.grad.any()) for each in zeros)


@BOTH
def test_the_model_itself_stays_what_it_was(design: str) -> None:
    model = family_model("bert")
    ids = torch.tensor([[1, 7, 8, 2]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
        predicted(moved(told(design, model)))
        torch.testing.assert_close(model(input_ids=ids).logits, before, rtol=0, atol=0)


@BOTH
def test_half_precision_is_told_the_time_too(design: str) -> None:
    denoiser = moved(told(design, family_model("bert")))
    with torch.no_grad():
        whole = predicted(denoiser)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = predicted(denoiser)
    assert (half - whole).abs().max() < 0.1 * whole.abs().max()


def test_layers_that_share_weights_share_their_map() -> None:
    shared, own = (time_module("lte", family_model(family), 512) for family in ("albert", "bert"))
    assert isinstance(shared, LayerTime)
    assert isinstance(own, LayerTime)
    assert len(shared.maps) == 1
    assert len(own.maps) == 2


def test_a_sinusoid_tells_real_times_apart() -> None:
    t = torch.tensor([0.25, 0.5, 1.0, 511.0, 511.5, 512.0], dtype=torch.float64)
    for size in (8, 9):
        codes = sinusoid(t, size, 512)
        assert codes.shape == (6, size)
        distance = torch.cdist(codes, codes) + 10 * torch.eye(6)
        assert distance.min() > 0.1
    assert torch.equal(sinusoid(torch.tensor([3]), 8, 512), sinusoid(torch.tensor([3.0]), 8, 512))


def test_an_unknown_design_is_refused() -> None:
    with pytest.raises(ValueError, match="time: found 'elastic'; expected one of tad, lte, pte"):
        time_module("elastic", family_model("bert"), 512)


def test_layers_that_are_not_known_are_refused() -> None:
    model = family_model("bert")
    del model.bert.encoder.layer
    with pytest.raises(ValueError, match="its layers are not known, so that time: lte cannot reach them"):
        time_module("lte", model, 512)


def test_a_time_token_takes_one_position_and_needs_one() -> None:
    model = family_model("roberta")
    plain, prefixed = MaskedDenoiser(model, FRAMING), told("pte", model)
    assert prefixed.max_length == plain.max_length - 1 == 62
    words = torch.full((1, 62), 7)
    with torch.no_grad():
        longest = [each.encode(words, torch.tensor([62]), T[:1]) for each in (plain, prefixed)]
    torch.testing.assert_close(*longest, rtol=1e-5, atol=5e-6)
    model.config.max_position_embeddings = 4
    assert MaskedDenoiser(model, FRAMING).max_length == 1
    with pytest.raises(ValueError, match=r"has 4 positions, which \[CLS\], \[SEP\] and the time token use up"):
        told("pte", model)


@pytest.mark.parametrize("kind", ["esm", "mpnet", "roformer", "roberta-prelayernorm", "xlm-roberta-xl"])
def test_a_time_token_is_refused_where_it_is_not_known_to_change_nothing(kind: str) -> None:
    with pytest.raises(ValueError, match=f"'pte' with a backbone of type '{kind}'"):
        time_module("pte", small_model(kind), 512)


@pytest.mark.parametrize(
    "kind", ["bert", "roberta", "esm", "mpnet", "data2vec-text", "roberta-prelayernorm", "xlm-roberta-xl", "longformer"]
)
def test_the_longest_sentence_fits_and_no_longer_one(kind: str) -> None:
    denoiser = MaskedDenoiser(small_model(kind), FRAMING).eval()
    longest = denoiser.max_length

    def encoded(length: int) -> Tensor:
        words = torch.randint(5, 50, (2, length), generator=torch.Generator().manual_seed(0))
        return denoiser.encode(words, torch.full((2,), length), T[:2])

    assert encoded(longest).shape[1] == longest
    with pytest.raises((IndexError, RuntimeError)):
        encoded(longest + 1)


def small_model(kind: str) -> Any:
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return backbone.fresh({"model_type": kind, **shape, "max_position_embeddings": 20, "pad_token_id": 0}, 50)
