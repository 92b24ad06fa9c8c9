"""Token shards: written, read without a copy, opened by others, checked."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from diffusionbert.corpus.encoding import encode
from diffusionbert.corpus.shard_writer import Rows, write_shards
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.special import Special
from diffusionbert.corpus.text import SPLITS, read_sentences
from diffusionbert.files import NoRoomError, read_json, sha256
from diffusionbert.words import split_words


@pytest.fixture
def copied(grammar_shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(grammar_shards, tmp_path / "shards"))


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_sentence_comes_back(grammar_text: Path, grammar_shards: Path) -> None:
    shards = Shards.open(grammar_shards)
    tokenizer = AutoTokenizer.from_pretrained(shards.tokenizer_folder)
    assert len(shards["train"].paths) > 1, "the fixture is meant to have several shards"
    for name in SPLITS:
        split = shards[name]
        sentences = list(read_sentences(grammar_text, name))
        assert len(split) == len(sentences) == len(split.lengths) == len(split.words)
        assert split.num_tokens == split.lengths.sum() == sum(len(flat) for flat in split.flat)
        for i, sentence in enumerate(sentences):
            ids = tokenizer.encode(sentence, add_special_tokens=False)[:32]
            assert split.tokens(i).tolist() == ids
            assert split.lengths[i] == len(ids)
            assert split.words[i] <= len(split_words(sentence))
        assert np.array_equal(np.concatenate([split.tokens(i) for i in range(len(split))]), np.concatenate(split.flat))


def test_nothing_is_copied(grammar_shards: Path) -> None:
    """Memory that Arrow allocated would show; a view's memory lies inside the file's map."""
    allocated = pa.total_allocated_bytes()
    split = Shards.open(grammar_shards)["train"]
    flat, view = split.flat[0], split.tokens(3)
    assert pa.total_allocated_bytes() == allocated
    assert np.shares_memory(flat, view)
    assert not flat.flags.owndata
    assert not flat.flags.writeable
    assert _mapped_file(view.ctypes.data) == str(split.paths[0].resolve())


def _mapped_file(address: int) -> str | None:
    """The file that is mapped at an address of this process."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not tell what is mapped")
    for line in maps.read_text().splitlines():
        span, *rest = line.split(maxsplit=5)
        first, last = (int(end, 16) for end in span.split("-"))
        if first <= address < last:
            return rest[4] if len(rest) == 5 else None
    return None


def test_datasets_and_pandas_open_a_shard(grammar_shards: Path) -> None:
    split = Shards.open(grammar_shards)["test"]
    dataset = datasets.Dataset.from_file(str(split.paths[0]))
    assert dataset[2]["tokens"] == split.tokens(2).tolist()
    assert dataset[2]["words"] == split.words[2]
    with pa.OSFile(str(split.paths[0])) as file:
        frame = pa.ipc.open_stream(file).read_pandas()
    assert frame["tokens"][2].tolist() == split.tokens(2).tolist()


def test_reading_needs_neither_transformers_nor_datasets_nor_pandas() -> None:
    code = "import sys, diffusionbert.corpus.shards, diffusionbert.corpus.statistics; print([*sys.modules])"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("'transformers'", "'datasets'", "'pandas'", "'torch'"):
        assert heavy not in modules


def test_sharding_changes_no_sentence(grammar_text: Path, grammar_shards: Path, tmp_path: Path) -> None:
    shards = Shards.open(grammar_shards)
    tokenizer = AutoTokenizer.from_pretrained(shards.tokenizer_folder)
    write_shards(grammar_text, tmp_path / "one", tokenizer, shards.special, Rows(32), shard_size=10_000)
    one = Shards.open(tmp_path / "one")
    assert len(one["train"].paths) == 1
    for split in SPLITS:
        assert np.array_equal(np.concatenate(one[split].flat), np.concatenate(shards[split].flat))
        assert np.array_equal(one[split].lengths, shards[split].lengths)
        assert np.array_equal(one[split].words, shards[split].words)


def test_the_same_input_gives_the_same_bytes(grammar_text: Path, grammar_shards: Path, tmp_path: Path) -> None:
    shards = Shards.open(grammar_shards)
    tokenizer = AutoTokenizer.from_pretrained(shards.tokenizer_folder)
    write_shards(grammar_text, tmp_path / "again", tokenizer, shards.special, Rows(32), shard_size=150)
    assert _files(tmp_path / "again") == _files(grammar_shards)
    assert Shards.open(tmp_path / "again").key == shards.key


def test_truncation_counts_the_words_that_are_left(grammar_shards: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(grammar_shards / "tokenizer")
    text = "the the, the. the"
    assert encode(tokenizer, [text], max_length=100).words.tolist() == [6]
    cut = encode(tokenizer, [text, "the", ""], max_length=3)
    assert (cut.words.tolist(), cut.truncated, cut.empty) == ([3, 1], 1, 1)
    assert np.diff(cut.offsets).tolist() == [3, 1]


def test_a_special_token_spelt_out_is_plain_text(grammar_shards: Path) -> None:
    shards = Shards.open(grammar_shards)
    tokenizer = AutoTokenizer.from_pretrained(shards.tokenizer_folder)
    encoded = encode(tokenizer, ["the [MASK] the [PAD] [SEP] the"], max_length=100)
    assert not set(encoded.tokens.tolist()) & set(shards.special.not_candidates)


def test_outside_the_split_is_an_error(grammar_shards: Path) -> None:
    split = Shards.open(grammar_shards)["test"]
    for index in (-1, len(split)):
        with pytest.raises(IndexError):
            split.tokens(index)


def test_a_truncated_shard_is_named(copied: Path) -> None:
    shard = copied / read_json(copied / "manifest.json")["splits"]["train"]["shards"][1]["file"]
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ValueError, match=rf"{shard.name}: .* bytes; the manifest says .*truncated"):
        Shards.open(copied)
    shard.unlink()
    with pytest.raises(ValueError, match=rf"{shard.name}: missing"):
        Shards.open(copied)


@pytest.mark.parametrize("file", ["valid-00000-of-00001.arrow", "tokenizer/tokenizer.json"])
def test_one_flipped_byte_is_noticed(copied: Path, file: str) -> None:
    data = bytearray((copied / file).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / file).write_bytes(data)
    with pytest.raises(ValueError, match="changed since the manifest"):
        Shards.open(copied)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"manifest\.json: no such file"):
        Shards.open(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match=r"manifest\.json: not a manifest of token shards"):
        Shards.open(tmp_path)


@pytest.mark.parametrize(("limit", "workers"), [(5_000, 1), (40_000, 1), (40_000, 2)])
def test_a_full_disk_leaves_the_old_shards(grammar_text: Path, copied: Path, limit: int, workers: int) -> None:
    """The smaller limit stops the tokenizer's file, the larger one a shard, in this process or in a worker."""
    before = _files(copied)
    shards = Shards.open(copied)
    tokenizer = AutoTokenizer.from_pretrained(shards.tokenizer_folder)
    special: Special = shards.special
    size = (shards.tokenizer_folder / "tokenizer.json").stat().st_size
    assert 5_000 < size < 40_000, "the limits are meant to lie on both sides"
    text = grammar_text.parent / f"long-{limit}-{workers}"
    text.mkdir()
    for split in SPLITS:
        sentences = list(read_sentences(grammar_text, split)) * 10
        (text / f"{split}-00000-of-00001.txt").write_text("\n".join(sentences) + "\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(NoRoomError) as caught:
            write_shards(text, copied, tokenizer, special, Rows(32), shard_size=100_000, workers=workers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value) == (
        f"{copied}: could not be written (File too large); what it held is kept. Make room and run again"
    )
    assert _files(copied) == before
    assert [path.name for path in copied.parent.iterdir()] == ["shards"]


def test_packed_shards_say_so_and_hold_the_same_text(grammar_text: Path, grammar_shards: Path, tmp_path: Path) -> None:
    cut = Shards.open(grammar_shards)
    assert not cut.packed
    tokenizer = AutoTokenizer.from_pretrained(cut.tokenizer_folder)
    write_shards(grammar_text, tmp_path / "long", tokenizer, cut.special, Rows(10_000), shard_size=150)
    plain = Shards.open(tmp_path / "long")
    write_shards(grammar_text, tmp_path / "p", tokenizer, plain.special, Rows(32, packed=True), shard_size=150)
    packed = Shards.open(tmp_path / "p")
    assert packed.packed
    assert set(plain.special.not_candidates) - set(packed.special.not_candidates) == {plain.special.sep_id}
    for name in SPLITS:
        told, rows = packed.manifest["splits"][name], packed[name]
        assert told["words"] == int(plain[name].words.sum()) == int(rows.words.sum()), "nothing is truncated"
        assert told["texts"] == len(plain[name])
        assert told["separators"] == told["texts"] - len(told["shards"])
        assert told["tokens"] == plain[name].num_tokens + told["separators"]
        assert set(rows.lengths.tolist()) - {32} == {n for n in rows.lengths.tolist() if n < 32}
        assert told["partial"] == int((rows.lengths < 32).sum()) <= len(told["shards"])
        separators = np.concatenate(rows.flat) == packed.special.sep_id
        assert separators.sum() == told["separators"]
