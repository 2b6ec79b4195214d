"""Configurations of T5 encoders, as transformers spells them."""

from typing import Any

T5_XXL: dict[str, Any] = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}
"""T5 1.1 XXL, which CogVideoX, LTX-Video, Mochi, Allegro and others read texts with."""
T5_11B: dict[str, Any] = {
    "vocab_size": 32128,
    "d_model": 1024,
    "d_kv": 128,
    "d_ff": 65536,
    "num_layers": 24,
    "num_heads": 128,
}
"""T5 11B of 2019, which Cosmos reads texts with."""
T5_TINY: dict[str, Any] = {
    "vocab_size": 384,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 2,
    "num_heads": 2,
}
