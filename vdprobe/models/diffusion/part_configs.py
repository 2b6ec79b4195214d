"""Configurations of parts that several families have, for random weights, as their libraries spell them."""

from collections.abc import Mapping, Sequence
from typing import Any

BYTE_VOCABULARY = 514
"""Tokens of the byte-level tokenizer that goes with random weights: 2 x 256 bytes, start and end."""
TEXT_LENGTH = 77
"""Tokens of a text, for CLIP."""
CLIP_TINY_IMAGE = {
    "hidden_size": 80,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
}
"""The sizes of an image encoder that runs anywhere, but for its `projection_dim`."""
CLIP_H_IMAGE = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": 224,
    "projection_dim": 1024,
}
"""The sizes of CLIP ViT-H/14's image encoder."""


def image_vae(channels: Sequence[int], **others: Any) -> dict[str, Any]:
    """Stable Diffusion's VAE of four blocks, without its decoder unless `others` say what that is."""
    return {
        "block_out_channels": list(channels),
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
        **others,
    }


def clip_text(sizes: Mapping[str, int], activation: str = "gelu") -> dict[str, Any]:
    """CLIP's text encoder over bytes."""
    return {
        "max_position_embeddings": TEXT_LENGTH,
        "hidden_act": activation,
        "bos_token_id": BYTE_VOCABULARY - 2,
        "eos_token_id": BYTE_VOCABULARY - 1,
        "vocab_size": BYTE_VOCABULARY,
        **sizes,
    }


def clip_image(sizes: Mapping[str, int], activation: str = "gelu") -> dict[str, Any]:
    """CLIP's image encoder with patches of 14 pixels."""
    return {"hidden_act": activation, "patch_size": 14, **sizes}
