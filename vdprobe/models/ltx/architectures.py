"""Architectures of LTX-Video, for random weights.

`tiny-ltx` has the shape of 0.9.0 at a width that runs anywhere, `tiny-ltx-0.9.5` that of the later ones; `ltx-2b`
(0.9.0) and `ltx-13b` (0.9.7) are the published sizes, as diffusers' conversion script spells them.
"""

from typing import Any

from vdprobe.models.transformer.t5_config import T5_XXL

_FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}
_PUBLISHED_VAE = {"_class_name": "AutoencoderKLLTXVideo", "latent_channels": 128, "patch_size": 4, "patch_size_t": 1}
_VAE_095 = {
    "down_block_types": ["LTXVideo095DownBlock3D"] * 4,
    "spatio_temporal_scaling": [True] * 4,
    "decoder_spatio_temporal_scaling": [True] * 3,
    "downsample_type": ["spatial", "temporal", "spatiotemporal", "spatiotemporal"],
    "upsample_residual": [True] * 3,
    "upsample_factor": [2] * 3,
    "timestep_conditioning": True,
    "spatial_compression_ratio": 32,
    "temporal_compression_ratio": 8,
}

TINY: dict[str, dict[str, Any]] = {
    "transformer": {
        "_class_name": "LTXVideoTransformer3DModel",
        "in_channels": 8,
        "out_channels": 8,
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "cross_attention_dim": 24,
        "num_layers": 4,
        "caption_channels": 16,
    },
    "vae": {
        "_class_name": "AutoencoderKLLTXVideo",
        "latent_channels": 8,
        "block_out_channels": [8] * 4,
        "decoder_block_out_channels": [8] * 4,
        "layers_per_block": [1] * 5,
        "decoder_layers_per_block": [1] * 5,
    },
    "text_encoder": {
        "vocab_size": 384,
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 32,
        "num_layers": 2,
        "num_heads": 2,
        "feed_forward_proj": "gated-gelu",
    },
    "scheduler": {**_FLOW, "use_dynamic_shifting": True, "shift_terminal": 0.1},
}
TINY_095: dict[str, dict[str, Any]] = {
    **TINY,
    "vae": {
        **TINY["vae"],
        **_VAE_095,
        "block_out_channels": [8, 8, 8, 16, 16],
        "decoder_block_out_channels": [8] * 3,
        "decoder_layers_per_block": [1] * 4,
        "decoder_inject_noise": [False] * 4,
    },
    "scheduler": _FLOW,
}
LTX_2B: dict[str, dict[str, Any]] = {
    "transformer": {
        "_class_name": "LTXVideoTransformer3DModel",
        "in_channels": 128,
        "out_channels": 128,
        "num_attention_heads": 32,
        "attention_head_dim": 64,
        "cross_attention_dim": 2048,
        "num_layers": 28,
        "caption_channels": 4096,
    },
    "vae": {
        **_PUBLISHED_VAE,
        "block_out_channels": [128, 256, 512, 512],
        "decoder_block_out_channels": [128, 256, 512, 512],
        "layers_per_block": [4, 3, 3, 3, 4],
        "decoder_layers_per_block": [4, 3, 3, 3, 4],
    },
    "text_encoder": T5_XXL,
    "scheduler": {**_FLOW, "use_dynamic_shifting": True, "base_shift": 0.95, "max_shift": 2.05, "shift_terminal": 0.1},
}
LTX_13B: dict[str, dict[str, Any]] = {
    **LTX_2B,
    "transformer": {
        **LTX_2B["transformer"],
        "attention_head_dim": 128,
        "cross_attention_dim": 4096,
        "num_layers": 48,
    },
    "vae": {
        **_PUBLISHED_VAE,
        **_VAE_095,
        "block_out_channels": [128, 256, 512, 1024, 2048],
        "decoder_block_out_channels": [256, 512, 1024],
        "layers_per_block": [4, 6, 6, 2, 2],
        "decoder_layers_per_block": [5, 5, 5, 5],
        "decoder_inject_noise": [False] * 4,
    },
    "scheduler": _FLOW,
}
