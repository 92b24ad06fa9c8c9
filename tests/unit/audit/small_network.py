"""A network small enough for tests."""

from __future__ import annotations

from diffusionbert.audit.network import Network

SHAPE = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 14,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
NETWORK = Network(
    vocab_size=30,
    exponent=1.1,
    length=12,
    num_steps=16,
    spindle_lambda=0.3,
    backbone=SHAPE,
    steps=4,
    batch_size=16,
    learning_rate=1e-2,
    test_sentences=64,
    num_strata=4,
    seed=0,
)
