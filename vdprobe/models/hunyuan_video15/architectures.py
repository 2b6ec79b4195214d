"""Architectures of HunyuanVideo 1.5, for random weights: its shape at a width that runs anywhere, and its own size."""

from typing import Any

_SCHEDULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 5.0}
_NO_TOKENS = {"bos_token_id": None, "eos_token_id": None}

TINY: dict[str, dict[str, Any]] = {
    "transformer": {
        "_class_name": "HunyuanVideo15Transformer3DModel",
        "in_channels": 9,
        "out_channels": 4,
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_layers": 4,
        "num_refiner_layers": 1,
        "mlp_ratio": 2.0,
        "patch_size": 1,
        "text_embed_dim": 16,
        "text_embed_2_dim": 32,
        "image_embed_dim": 12,
        "rope_axes_dim": [2, 2, 4],
        "target_size": 16,
        "task_type": "t2v",
    },
    "vae": {
        "_class_name": "AutoencoderKLHunyuanVideo15",
        "latent_channels": 4,
        "block_out_channels": [16] * 5,
        "layers_per_block": 1,
    },
    "text_encoder": {
        **_NO_TOKENS,
        "vocab_size": 384,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [1, 1, 2]},
    },
    "text_encoder_2": {
        "vocab_size": 384,
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 32,
        "num_layers": 2,
        "num_heads": 2,
        "feed_forward_proj": "gated-gelu",
    },
    "scheduler": _SCHEDULER,
}
HUNYUAN_VIDEO_15: dict[str, dict[str, Any]] = {
    "transformer": {
        "_class_name": "HunyuanVideo15Transformer3DModel",
        "in_channels": 65,
        "out_channels": 32,
        "num_attention_heads": 16,
        "attention_head_dim": 128,
        "num_layers": 54,
        "num_refiner_layers": 2,
        "patch_size": 1,
        "text_embed_dim": 3584,
        "text_embed_2_dim": 1472,
        "image_embed_dim": 1152,
        "rope_axes_dim": [16, 56, 56],
        "target_size": 640,
        "task_type": "t2v",
    },
    "vae": {
        "_class_name": "AutoencoderKLHunyuanVideo15",
        "latent_channels": 32,
        "block_out_channels": [128, 256, 512, 1024, 1024],
        "layers_per_block": 2,
    },
    "text_encoder": {
        **_NO_TOKENS,
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0, "mrope_section": [16, 24, 24]},
    },
    "text_encoder_2": {
        "vocab_size": 1510,
        "d_model": 1472,
        "d_kv": 64,
        "d_ff": 3584,
        "num_layers": 12,
        "num_heads": 6,
        "feed_forward_proj": "gated-gelu",
    },
    "scheduler": _SCHEDULER,
}
