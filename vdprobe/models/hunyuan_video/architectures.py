"""Architectures of HunyuanVideo, for random weights.

`tiny-hunyuan-video` has its shape at a width that runs anywhere; `hunyuan-video` is the published size, as diffusers'
conversion script spells it.
"""

from typing import Any

from vdprobe.models.diffusion.part_configs import BYTE_VOCABULARY

_SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 7.0}
_CLIP = {
    "max_position_embeddings": 77,
    "bos_token_id": BYTE_VOCABULARY - 2,
    "eos_token_id": BYTE_VOCABULARY - 1,
}

TINY: dict[str, dict[str, Any]] = {
    "transformer": {
        "_class_name": "HunyuanVideoTransformer3DModel",
        "in_channels": 4,
        "out_channels": 4,
        "num_attention_heads": 2,
        "attention_head_dim": 10,
        "num_layers": 2,
        "num_single_layers": 2,
        "num_refiner_layers": 1,
        "patch_size": 2,
        "patch_size_t": 1,
        "guidance_embeds": True,
        "text_embed_dim": 16,
        "pooled_projection_dim": 24,
        "rope_axes_dim": [2, 4, 4],
    },
    "vae": {
        "_class_name": "AutoencoderKLHunyuanVideo",
        "latent_channels": 4,
        "block_out_channels": [8] * 4,
        "layers_per_block": 1,
        "norm_num_groups": 4,
    },
    "text_encoder": {
        "vocab_size": 384,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 2048,
    },
    "text_encoder_2": {
        **_CLIP,
        "vocab_size": BYTE_VOCABULARY,
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
    "scheduler": _SCHEDULER,
}
HUNYUAN_VIDEO: dict[str, dict[str, Any]] = {
    "transformer": {
        "_class_name": "HunyuanVideoTransformer3DModel",
        "in_channels": 16,
        "out_channels": 16,
        "num_attention_heads": 24,
        "attention_head_dim": 128,
        "num_layers": 20,
        "num_single_layers": 40,
        "num_refiner_layers": 2,
        "patch_size": 2,
        "patch_size_t": 1,
        "guidance_embeds": True,
        "text_embed_dim": 4096,
        "pooled_projection_dim": 768,
        "rope_axes_dim": [16, 56, 56],
    },
    "vae": {
        "_class_name": "AutoencoderKLHunyuanVideo",
        "latent_channels": 16,
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "norm_num_groups": 32,
    },
    "text_encoder": {
        "vocab_size": 128320,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
    },
    "text_encoder_2": {
        **_CLIP,
        "vocab_size": 49408,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "hidden_act": "quick_gelu",
    },
    "scheduler": _SCHEDULER,
}
