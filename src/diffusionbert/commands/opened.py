"""A trained arm as the commands use it: by its folder, or by its name in params.yaml, with its tokenizer."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from diffusionbert import config
from diffusionbert.arms.base import Arm
from diffusionbert.arms.build import fills, is_left_to_right, saved_arm
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


def add_arguments(parser: argparse.ArgumentParser, *, filling: bool = False) -> None:
    """--arm and what goes with it; `filling`: only arms that fill anywhere are chosen where none is named."""
    which = "that is trained and fills anywhere" if filling else "that is trained"
    parser.add_argument(
        "--arm",
        metavar="ARM",
        help=f"the model folder of a trained arm, or an arm's name in --params (default: the first there {which})",
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="where names of arms are looked up")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU (default 1, as in the stages)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")


def opened(args: argparse.Namespace, *, filling: bool = False) -> Opened:
    """The arm that the arguments name, or else the first that is trained. Raises ValueError where there is none."""
    check_range("--threads", args.threads, 1, MOST)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device: found 'cuda', and torch sees no GPU; expected 'auto' or 'cpu' here")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch.set_num_threads(args.threads)
    use_gpu = args.device == "cuda" or (args.device == "auto" and torch.cuda.is_available())
    device = torch.device("cuda" if use_gpu else "cpu")
    folder = _folder(args.arm, args.params, filling=filling)
    system, _ = read_description(folder)
    return Opened(saved_arm(folder, device), system, folder, saved_tokenizer(folder), device, read_pairs(folder))


def _folder(name: str | None, file: Path, *, filling: bool) -> Path:
    if name is None:
        return _first_trained(file, filling=filling)
    return Path(name) if Path(name).is_dir() else _named(name, file)


def _first_trained(file: Path, *, filling: bool) -> Path:
    """The model folder of the first arm of params.yaml that has one; told, as it was not asked for."""
    if not file.is_file():
        raise ValueError(
            f"--arm: found none, and there is no {file} to choose one from; expected a model folder, or --params"
        )
    params = config.load(file)
    able = [name for name, row in params.arms.items() if not filling or fills(name, row, str(file))]
    name = next((name for name in able if _place(params, name).is_dir()), None)
    if name is None:
        what = "arm that fills anywhere" if filling else "arm"
        raise ValueError(
            f"--arm: found none, and no {what} of {file} (profile {params.profile}) is trained here: run `make run` "
            "first, or name a model folder"
        )
    print(f"arm: {name}, the first of {file} that is trained{' and fills anywhere' * filling}", file=sys.stderr)
    return _place(params, name)


def _place(params: config.Params, name: str) -> Path:
    """Where the train stage leaves an arm, by the layout of the results."""
    return Path("results") / params.profile / "train" / name / "model"


def _named(name: str, file: Path) -> Path:
    """The model folder of an arm of params.yaml."""
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
    folder = _place(params, name)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; the arm {name} is not trained here: run `make run` first")
    return folder
