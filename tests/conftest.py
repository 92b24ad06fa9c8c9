"""For every test: no network, no tracking; and a small corpus of the project's own making, tokenized once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from diffusionbert import config

# Before anything that reads them is imported: the heavy imports stand inside the fixtures.
for _name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ[_name] = "1"
os.environ["DIFFUSIONBERT_TRACKING"] = "off"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def grammar_corpus() -> config.Corpus:
    """The `corpus` section of the generated corpus."""
    return config.Corpus(
        source="grammar",
        grammar=config.GrammarSource(num_documents=60, num_words=150, seed=0),
        cleaning=config.Cleaning(),
        valid_share=0.1,
        test_share=0.2,
        seed=0,
    )


@pytest.fixture(scope="session")
def grammar_text(tmp_path_factory: pytest.TempPathFactory, grammar_corpus: config.Corpus) -> Path:
    """The folder `corpus/text` of the generated corpus: a few hundred sentences."""
    from diffusionbert.corpus.build import build, documents
    from diffusionbert.files import write_json

    folder = tmp_path_factory.mktemp("grammar") / "corpus"
    metrics = build(grammar_corpus, documents(grammar_corpus, {}), folder / "text")
    write_json(folder / "metrics.json", metrics)
    return folder / "text"


@pytest.fixture(scope="session")
def grammar_shards(grammar_text: Path) -> Path:
    """The folder of its token shards (`Shards.open` reads it), under a WordPiece tokenizer of 300 entries.

    Its parent is what stages call `--tokens`.
    """
    from diffusionbert.corpus.shard_writer import Rows, write_shards
    from diffusionbert.corpus.text import read_sentences
    from diffusionbert.corpus.tokenizers import special_ids, train_wordpiece

    tokenizer = train_wordpiece(read_sentences(grammar_text, "train"), 300)
    folder = grammar_text.parents[1] / "tokenize" / "words" / "shards"
    write_shards(grammar_text, folder, tokenizer, special_ids(tokenizer, "words"), Rows(32), shard_size=150)
    return folder


@pytest.fixture(scope="session")
def bytes_tokenizer(grammar_text: Path) -> Any:
    """A byte-level BPE tokenizer of 300 entries with GPT-2's one special token."""
    import transformers
    from tokenizers import ByteLevelBPETokenizer

    from diffusionbert.corpus.text import read_sentences

    end = "<|endoftext|>"
    raw = ByteLevelBPETokenizer()
    sentences = read_sentences(grammar_text, "train")
    raw.train_from_iterator(sentences, vocab_size=300, special_tokens=[end], show_progress=False)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw._tokenizer, bos_token=end, eos_token=end, unk_token=end
    )


@pytest.fixture(scope="session")
def pair_text(grammar_text: Path) -> Path:
    """A folder as `grammar_text` whose lines are pairs: each sentence and the one after it; the first has no source."""
    from diffusionbert.corpus.text import SPLITS, TextWriter, read_sentences

    folder = grammar_text.parents[1] / "pairs" / "corpus" / "text"
    folder.mkdir(parents=True)
    for split in SPLITS:
        writer = TextWriter(folder, split)
        source = ""
        for sentence in read_sentences(grammar_text, split):
            writer.write(f"{source}\t{sentence}")
            source = sentence
        writer.close()
    return folder


@pytest.fixture(scope="session")
def pair_shards(grammar_shards: Path, pair_text: Path) -> Path:
    """Its token shards: sources of at most 10 tokens, targets filled up to 12 with end tokens."""
    from diffusionbert.corpus.pair_encoding import PairRows
    from diffusionbert.corpus.shard_writer import Rows, write_shards
    from diffusionbert.corpus.tokenizers import saved_tokenizer, special_ids

    tokenizer = saved_tokenizer(grammar_shards / "tokenizer")
    folder = pair_text.parents[1] / "tokenize" / "words" / "shards"
    rows = Rows(32, pairs=PairRows(10, 12, padded=True))
    write_shards(pair_text, folder, tokenizer, special_ids(tokenizer, "words"), rows, shard_size=150)
    return folder
