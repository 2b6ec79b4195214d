"""The sizes of Wan, for random weights (`random:tiny-wan`, ...): the configurations of each part as published.

From diffusers' `scripts/convert_wan_to_diffusers.py`, those of UMT5-XXL from google/umt5-xxl. The tiny ones have the
shape of the published ones at a width that runs anywhere. CLIP ViT-H/14, which text-to-video models come without, is
beside, so that every condition can be tried.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from vdprobe.models.diffusion.part_configs import CLIP_H_IMAGE, clip_image
from vdprobe.models.transformer.t5_config import T5_TINY, T5_XXL

Architecture = dict[str, dict[str, Any]]

_MEAN = [
    *(-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891),
    *(0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502),
    *(-0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723),
    *(-0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667),
]
_STD = [
    *(0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901),
    *(0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659),
    *(0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944),
    *(0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744),
]
"""Of the latents of Wan 2.2 5B."""
_VAE_22 = {
    "_class_name": "AutoencoderKLWan",
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "z_dim": 48,
    "scale_factor_temporal": 4,
    "scale_factor_spatial": 16,
    "latents_mean": _MEAN,
    "latents_std": _STD,
}
_VAE_21 = {"_class_name": "AutoencoderKLWan", "z_dim": 16}
_UMT5_XXL = {**T5_XXL, "vocab_size": 256384}
_CLIP_H = clip_image(CLIP_H_IMAGE)
_TINY_CLIP = {
    "hidden_act": "gelu",
    "patch_size": 14,
    "hidden_size": 20,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "projection_dim": 12,
}


def _transformer(heads: int, width: int, layers: int, channels: int = 16, **others: Any) -> dict[str, Any]:
    return {
        "_class_name": "WanTransformer3DModel",
        "patch_size": [1, 2, 2],
        "num_attention_heads": heads,
        "attention_head_dim": 128,
        "in_channels": channels,
        "out_channels": channels,
        "text_dim": 4096,
        "freq_dim": 256,
        "ffn_dim": width,
        "num_layers": layers,
        "cross_attn_norm": True,
        **others,
    }


def _scheduler(shift: float) -> dict[str, Any]:
    return {
        "_class_name": "UniPCMultistepScheduler",
        "prediction_type": "flow_prediction",
        "use_flow_sigmas": True,
        "flow_shift": shift,
    }


def _published(transformers: Sequence[dict[str, Any]], vae: dict[str, Any], shift: float) -> Architecture:
    parts = dict(zip(("transformer", "transformer_2"), transformers, strict=False))
    return {**parts, "vae": vae, "text_encoder": _UMT5_XXL, "image_encoder": _CLIP_H, "scheduler": _scheduler(shift)}


_TINY_SHAPE: Mapping[str, Any] = {"attention_head_dim": 12, "text_dim": 16, "freq_dim": 32, "rope_max_seq_len": 64}
_TINY_PARTS: Architecture = {"text_encoder": T5_TINY, "image_encoder": _TINY_CLIP, "scheduler": _scheduler(3.0)}
_TINY_VAE = {**_VAE_21, "base_dim": 4, "num_res_blocks": 1}
_14B = _transformer(40, 13824, 40)
_TINY_14B = _transformer(2, 32, 4, **_TINY_SHAPE)

WAN_1_3B = _published([_transformer(12, 8960, 30)], _VAE_21, 3.0)
"""Wan-AI/Wan2.1-T2V-1.3B."""
WAN_14B = _published([_14B], _VAE_21, 3.0)
"""Wan-AI/Wan2.1-T2V-14B."""
WAN_22_5B = _published([_transformer(24, 14336, 30, 48)], {**_VAE_22, "base_dim": 160, "decoder_base_dim": 256}, 5.0)
"""Wan-AI/Wan2.2-TI2V-5B."""
WAN_22_A14B = {**_published([_14B, _14B], _VAE_21, 3.0), "model_index": {"boundary_ratio": 0.875}}
"""Wan-AI/Wan2.2-T2V-A14B."""

TINY: Architecture = {"transformer": _TINY_14B, "vae": _TINY_VAE, **_TINY_PARTS}
"""The shape of Wan 2.1."""
TINY_5B: Architecture = {
    "transformer": _transformer(2, 32, 4, 48, **_TINY_SHAPE),
    "vae": {**_VAE_22, "base_dim": 4, "decoder_base_dim": 4, "num_res_blocks": 1},
    **_TINY_PARTS,
}
"""The shape of Wan 2.2 5B."""
TINY_A14B: Architecture = {
    "transformer": _TINY_14B,
    "transformer_2": _TINY_14B,
    "model_index": {"boundary_ratio": 0.875},
    "vae": _TINY_VAE,
    **_TINY_PARTS,
}
"""The shape of Wan 2.2 A14B: one transformer for the noisiest levels, another for the rest."""
