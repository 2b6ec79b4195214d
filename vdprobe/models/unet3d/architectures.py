"""Architectures known by name, for random weights: `random:tiny` and `random:modelscope`.

`tiny` has the shape of ModelScopeT2V at a width that runs anywhere; `modelscope` is the real size
(damo-vilab/text-to-video-ms-1.7b with CLIP ViT-H/14), for timing and as a random-init control.
"""

from typing import Any

_SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "clip_sample": False,
}
_DOWN, _CROSS_DOWN = "DownBlock3D", "CrossAttnDownBlock3D"
_UP, _CROSS_UP = "UpBlock3D", "CrossAttnUpBlock3D"
BYTE_VOCABULARY = 514
"""Tokens of the byte-level tokenizer that goes with random weights: 2 x 256 bytes, start and end."""


def _architecture(
    *, unet: tuple[int, ...], vae: tuple[int, ...], heads: int, cross: int, text: dict[str, int], image: dict[str, int]
) -> dict[str, dict[str, Any]]:
    return {
        "unet": {
            "in_channels": 4,
            "out_channels": 4,
            "block_out_channels": list(unet),
            "down_block_types": [_CROSS_DOWN, _CROSS_DOWN, _CROSS_DOWN, _DOWN],
            "up_block_types": [_UP, _CROSS_UP, _CROSS_UP, _CROSS_UP],
            "layers_per_block": 2,
            "cross_attention_dim": cross,
            "attention_head_dim": heads,
        },
        "vae": {
            "in_channels": 3,
            "out_channels": 3,
            "block_out_channels": list(vae),
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "layers_per_block": 2,
            "latent_channels": 4,
            "scaling_factor": 0.18215,
        },
        "text_encoder": {
            "max_position_embeddings": 77,
            "hidden_act": "gelu",
            "bos_token_id": BYTE_VOCABULARY - 2,
            "eos_token_id": BYTE_VOCABULARY - 1,
            "vocab_size": BYTE_VOCABULARY,
            **text,
        },
        "image_encoder": {"hidden_act": "gelu", "patch_size": 14, **image},
        "scheduler": _SCHEDULER,
    }


TINY = _architecture(
    unet=(32, 32, 64, 64),
    vae=(32, 32, 64, 64),
    heads=8,
    cross=64,
    text={"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
    image={
        "hidden_size": 80,
        "intermediate_size": 160,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 56,
        "projection_dim": 64,
    },
)
MODELSCOPE = _architecture(
    unet=(320, 640, 1280, 1280),
    vae=(128, 256, 512, 512),
    heads=64,
    cross=1024,
    text={"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16},
    image={
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "image_size": 224,
        "projection_dim": 1024,
    },
)
