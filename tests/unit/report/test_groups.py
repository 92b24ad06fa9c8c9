"""Only results of one device and one kind of rows stand in a table together."""

from __future__ import annotations

from diffusionbert.config import Arm
from diffusionbert.report.results import ArmResults

CPU = {"device": "cpu", "dtype": "float32", "threads": 1}


def _arm(*, packed: bool, train: dict[str, object] | None) -> ArmResults:
    arm = Arm(label="x", tokenizer="bert", system="absorbing", backbone="tiny")
    return ArmResults("x", arm, train, *[None] * 8, packed=packed)


def test_packed_rows_are_a_group_of_their_own() -> None:
    assert _arm(packed=False, train=CPU).group == "cpu, float32, 1 thread"
    assert _arm(packed=True, train=CPU).group == "cpu, float32, 1 thread; packed rows"
    assert _arm(packed=True, train=None).group is None
