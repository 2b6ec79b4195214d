"""Sizes of CogVideoX: those that are published, and tiny ones, as diffusers and transformers spell them."""

from typing import Any

from vdprobe.models.transformer.t5_config import T5_TINY, T5_XXL

_SCHEDULER: dict[str, Any] = {
    "_class_name": "CogVideoXDDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}
_VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKLCogVideoX",
    "block_out_channels": [128, 256, 256, 512],
    "latent_channels": 16,
    "layers_per_block": 3,
    "temporal_compression_ratio": 4,
}
_ROTARY = {"use_rotary_positional_embeddings": True}
_SECOND = _ROTARY | {"patch_size_t": 2, "patch_bias": False}


def _published(scale: float, shift: float, **transformer: Any) -> dict[str, dict[str, Any]]:
    return {
        "transformer": {"_class_name": "CogVideoXTransformer3DModel", **transformer},
        "vae": _VAE | {"scaling_factor": scale},
        "text_encoder": T5_XXL,
        "scheduler": _SCHEDULER | {"snr_shift_scale": shift},
    }


def _tiny(scale: float, shift: float, **transformer: Any) -> dict[str, dict[str, Any]]:
    own = {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "time_embed_dim": 16,
        "text_embed_dim": 16,
        "num_layers": 4,
        "sample_width": 6,
        "sample_height": 4,
        "sample_frames": 9,
    }
    made = _published(scale, shift, **own | transformer)
    small = {"block_out_channels": [8, 8, 8, 8], "layers_per_block": 1, "norm_num_groups": 2}
    small |= {"down_block_types": ["CogVideoXDownBlock3D"] * 4, "up_block_types": ["CogVideoXUpBlock3D"] * 4}
    return made | {"vae": made["vae"] | small, "text_encoder": T5_TINY}


TINY = _tiny(1.15258426, 3.0)
"""`random:tiny-cogvideox`: the shape of 2B at a width that runs anywhere."""
TINY_5B = _tiny(0.7, 1.0, **_ROTARY)
TINY_SECOND = _tiny(0.7, 1.0, **_SECOND | {"sample_width": 300, "sample_height": 300})
SIZE_2B = _published(1.15258426, 3.0)
SIZE_5B = _published(0.7, 1.0, num_attention_heads=48, num_layers=42, **_ROTARY)
SIZE_SECOND = _published(
    0.7,
    1.0,
    num_attention_heads=48,
    num_layers=42,
    sample_width=300,
    sample_height=300,
    sample_frames=81,
    **_SECOND,
)
"""CogVideoX1.5-5B."""
