"""What `make bench-scale` times in a process of its own: an epoch of the loader, the counts, and `encode_batch`.

Each prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from diffusionbert.corpus.batches import Stream
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import count_tokens
from diffusionbert.corpus.text import read_sentences

BATCH_SIZE = 128
MOST_STEPS = 20_000  # of an epoch of the loader: two and a half million sentences
AT_ONCE, AT_MOST = 10_000, 100_000  # texts that encode_batch is given at a time, and in all


def loader(shards: Path) -> dict[str, Any]:
    """Tokens per second of the training stream on one core, and its padding; the first order is a figure of its own."""
    split = Shards.open(shards)["train"]
    stream = Stream(split, BATCH_SIZE, 0, 0)
    begin = time.perf_counter(), time.process_time()
    stream.batch(0)
    first = time.perf_counter() - begin[0]
    tokens = places = 0
    start, used = time.perf_counter(), time.process_time()
    steps = min(MOST_STEPS, max(1, len(split) // BATCH_SIZE))
    for step in range(steps):
        batch = stream.batch(step)
        tokens += int(batch.lengths.sum())
        places += batch.tokens.numel()
    seconds, processor = time.perf_counter() - start, time.process_time() - used
    return {
        "first_batch_seconds": first,
        "steps": steps,
        "tokens": tokens,
        "seconds": seconds,
        "processor_seconds": processor,
        "padding": 1 - tokens / places,
    }


def counts(shards: Path) -> dict[str, Any]:
    """Seconds of counting every training token."""
    held = Shards.open(shards)
    split = held["train"]
    count_tokens(split, held.special.vocab_size)  # the files are in memory from here on
    start, used = time.perf_counter(), time.process_time()
    total = int(count_tokens(split, held.special.vocab_size).sum())
    return {
        "tokens": total,
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - used,
    }


def encode_batch(text: Path, tokenizer: Path) -> dict[str, Any]:
    """The library's own `encode_batch` over the first training sentences; it runs threads as the environment says."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    backend.no_padding()
    backend.no_truncation()
    texts = list(islice(read_sentences(text, "train"), AT_MOST))
    backend.encode_batch(texts[:100], add_special_tokens=False)
    start, used = time.perf_counter(), time.process_time()
    for first in range(0, len(texts), AT_ONCE):
        backend.encode_batch(texts[first : first + AT_ONCE], add_special_tokens=False)
    return {
        "sentences": len(texts),
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - used,
    }


PROBES: dict[str, Callable[..., dict[str, Any]]] = {"loader": loader, "counts": counts, "encode_batch": encode_batch}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workflow.bench_scale_probes", description=__doc__)
    parser.add_argument("probe", choices=sorted(PROBES))
    parser.add_argument("paths", type=Path, nargs="+")
    args = parser.parse_args(argv)
    print(json.dumps(PROBES[args.probe](*args.paths)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
