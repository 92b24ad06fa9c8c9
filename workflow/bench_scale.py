"""`make bench-scale`: time and peak memory of every data stage against the size of an LM1B-format corpus.

Each stage is the DAG's own command in a process of its own; the corpora are thrown away after their size. Writes
results/bench/scale.json and from it docs/scale-data.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from workflow import bench_scale_page as page
from workflow.bench_scale_corpus import base_sentences, write_project

from diffusionbert.bench.machine import described, load_share
from diffusionbert.files import read_json, write_json

SIZES = (10_000, 100_000, 1_000_000, 5_000_000)
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Measured:
    """One process with all that it started: seconds on the clock and of processors, and the largest memory at once.

    `peak_memory_mb` has every page that stands in memory, pages of mapped files among them, which the system can take
    back at any time; `private_memory_mb` has what only the processes hold.
    """

    seconds: float
    processor_seconds: float
    peak_memory_mb: float
    private_memory_mb: float
    output: str


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workflow.bench_scale", description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="training sentences, with commas between")
    parser.add_argument("--corpus", type=Path, default=Path("results/default/corpus/text"))
    parser.add_argument("--tokenizer", type=Path, default=Path("results/default/tokenize/bert/shards/tokenizer"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, default=page.RESULT)
    parser.add_argument("--page", type=Path, default=page.PAGE)
    args = parser.parse_args(argv)
    try:
        sizes = [int(size) for size in args.sizes.split(",")]
        base = base_sentences(args.corpus)
        machine = described(torch.device("cpu"), "float32")
        rows = read_json(args.json)["sizes"] if args.json.exists() else {}
        for size in sizes:
            load = load_share()
            rows[str(size)] = {**measured(size, base, args.tokenizer, args.workers), "load_per_core_before": load}
            write_json(
                args.json, {"machine": machine, "workers": args.workers, "base_sentences": len(base), "sizes": rows}
            )
        page.write(args.page, args.json)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"error: bench-scale: {error}", file=sys.stderr)
        return 1
    print(f"written: {args.page}")
    return 0


def measured(size: int, base: list[str], tokenizer: Path, workers: int) -> dict[str, Any]:
    """Every stage's and probe's figures at one size."""
    root = Path.cwd()
    with tempfile.TemporaryDirectory(prefix=".bench-scale-", dir=root) as place:
        folder = Path(place)
        write_project(folder, root, base, size, tokenizer, workers)
        results = folder / "results" / "scale"
        text, tokens = results / "corpus" / "text", results / "tokenize" / "bert"
        told: dict[str, Any] = {}

        def stage(name: str, *words: str) -> None:
            found = _run(folder, root, [f"diffusionbert.stages.{name}", *words], threads=1)
            told[name] = {key: value for key, value in asdict(found).items() if key != "output"}
            _say(size, name, found)

        def probe(name: str, *paths: Path, threads: int = 1) -> dict[str, Any]:
            words = ["workflow.bench_scale_probes", name, *(str(path) for path in paths)]
            found = _run(folder, root, words, threads=threads)
            _say(size, name, found)
            told[name] = json.loads(found.output.splitlines()[-1])
            told[name] |= {"peak_memory_mb": found.peak_memory_mb, "private_memory_mb": found.private_memory_mb}
            return told[name]

        stage("corpus", "--out", str(results / "corpus"))
        shutil.rmtree(folder / "corpora")
        before = probe("encode_batch", text, tokenizer.resolve(), threads=workers)
        stage("tokenize", "--tokenizer", "bert", "--corpus", str(results / "corpus"), "--out", str(tokens))
        after = probe("encode_batch", text, tokenizer.resolve(), threads=workers)
        for key in ("sentences", "seconds", "processor_seconds"):
            told["encode_batch"][key] = before[key] + after[key]
        stage("information", "--tokenizer", "bert", "--tokens", str(tokens), "--out", str(results / "information"))
        probe("counts", tokens / "shards")
        probe("loader", tokens / "shards")
        told["text_bytes"] = sum(path.stat().st_size for path in text.glob("*.txt"))
        told["shard_bytes"] = sum(path.stat().st_size for path in (tokens / "shards").glob("*.arrow"))
        told["counts"]["all_tokens"] = sum(read_json(tokens / "metrics.json")["tokens"].values())
        told["sentences"] = read_json(tokens / "metrics.json")["sentences"]
    return told


def _run(folder: Path, root: Path, words: list[str], threads: int) -> Measured:
    """Runs a module and looks at the memory of all its processes while it goes; ValueError when it fails."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(root / "src"), str(root))),
        "DIFFUSIONBERT_TRACKING": "off",
        "OMP_NUM_THREADS": "1",
        "RAYON_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
    }
    before = os.times()
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen([sys.executable, "-m", *words], cwd=folder, env=environment, stdout=output)
        peak = private = 0.0
        while process.poll() is None:
            held, own = _memory(process.pid)
            peak, private = max(peak, held), max(private, own)
            time.sleep(SECONDS_BETWEEN_LOOKS)
        seconds, after = time.perf_counter() - start, os.times()
        output.seek(0)
        if process.returncode:
            raise ValueError(f"{' '.join(words)}: ended with {process.returncode}")
        used = after.children_user + after.children_system - before.children_user - before.children_system
        return Measured(seconds, used, peak, private, output.read())


def _memory(pid: int) -> tuple[float, float]:
    """Megabytes that a process and its descendants have in memory, and those that no file backs."""
    held = own = 0
    try:
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            found = process.memory_info()
            held += found.rss
            own += found.rss - getattr(found, "shared", 0)
    except psutil.NoSuchProcess:  # it has just ended
        return 0.0, 0.0
    return held / 1e6, own / 1e6


def _say(size: int, name: str, found: Measured) -> None:
    print(f"{size:>10,} {name:<13} {found.seconds:8.1f} s {found.peak_memory_mb:8.0f} MB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
