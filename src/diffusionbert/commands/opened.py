"""A trained arm as the commands use it: by its folder, or by its name in params.yaml, with its tokenizer."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from diffusionbert import config
from diffusionbert.arms.base import Arm
from diffusionbert.arms.build import is_left_to_right, saved_arm
from diffusionbert.arms.saved import read_description, read_pairs
from diffusionbert.commands.ranges import MOST, check_range
from diffusionbert.corpus.encoding import plain_tokenizer, tokenizer_text
from diffusionbert.corpus.pair_encoding import PairRows
from diffusionbert.corpus.tokenizers import saved_tokenizer


@dataclass(frozen=True)
class Opened:
    """A trained arm, ready to score and sample."""

    arm: Arm
    system: str
    folder: Path
    tokenizer: Any
    device: torch.device
    pairs: PairRows | None = None  # how rows were made, where it was trained on pairs

    @cached_property
    def plain(self) -> Any:
        """The tokenizer that reads a special token which a text spells out as text."""
        return plain_tokenizer(tokenizer_text(self.tokenizer))

    def text(self, tokens: list[int]) -> str:
        """Token ids as text."""
        decoded: str = self.tokenizer.decode(tokens, skip_special_tokens=False)
        return decoded

    def num_unread(self, tokens: list[int]) -> int:
        """How many of the tokens stand for what the tokenizer cannot read."""
        unknown = self.tokenizer.unk_token_id
        return 0 if unknown is None else tokens.count(unknown)

    def unread(self, tokens: list[int]) -> str | None:
        """What is to be told of these tokens where the tokenizer cannot read some."""
        number = self.num_unread(tokens)
        return f"{number} of {len(tokens)} tokens are {self.tokenizer.unk_token} to the tokenizer" if number else None

    @property
    def left_to_right(self) -> bool:
        return is_left_to_right(self.system)

    @property
    def described(self) -> dict[str, Any]:
        """What every answer in JSON says of the arm."""
        return {"arm": str(self.folder), "system": self.system, "device": self.device.type}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--arm and what goes with it."""
    parser.add_argument(
        "--arm", required=True, metavar="ARM", help="the model folder of a trained arm, or an arm's name in --params"
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="where names of arms are looked up")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU (default 1, as in the stages)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def opened(args: argparse.Namespace) -> Opened:
    """The arm that the arguments name. Raises ValueError where there is none."""
    check_range("--threads", args.threads, 1, MOST)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device: found 'cuda', and torch sees no GPU; expected 'auto' or 'cpu' here")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch.set_num_threads(args.threads)
    use_gpu = args.device == "cuda" or (args.device == "auto" and torch.cuda.is_available())
    device = torch.device("cuda" if use_gpu else "cpu")
    folder = Path(args.arm) if Path(args.arm).is_dir() else _named(args.arm, args.params)
    system, _ = read_description(folder)
    return Opened(saved_arm(folder, device), system, folder, saved_tokenizer(folder), device, read_pairs(folder))


def _named(name: str, file: Path) -> Path:
    """The model folder of an arm of params.yaml, by the layout of the results."""
    if len(Path(name).parts) > 1:
        raise ValueError(f"--arm: {name}: no such folder; expected a model folder as the train stage leaves it")
    if not file.is_file():
        raise ValueError(
            f"--arm: found '{name}', which is no folder, and there is no {file} to look the name up; expected a model "
            "folder, or --params"
        )
    params = config.load(file)
    if name not in params.arms:
        known = ", ".join(sorted(params.arms))
        raise ValueError(f"--arm: found '{name}'; expected a model folder, or an arm of {file}: {known}")
    folder = Path("results") / params.profile / "train" / name / "model"
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; the arm {name} is not trained here: run `make run` first")
    return folder
