"""Architectures known by name, for random weights: `random:tiny` and `random:modelscope`.

`tiny` has the shape of ModelScopeT2V at a width that runs anywhere; `modelscope` is the real size
(damo-vilab/text-to-video-ms-1.7b with CLIP ViT-H/14), for timing and as a random-init control.
"""

from typing import Any

from vdprobe.models.diffusion.part_configs import CLIP_H_IMAGE, CLIP_TINY_IMAGE, clip_image, clip_text, image_vae

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
        "vae": image_vae(vae, in_channels=3, out_channels=3, up_block_types=["UpDecoderBlock2D"] * 4),
        "text_encoder": clip_text(text),
        "image_encoder": clip_image(image),
        "scheduler": _SCHEDULER,
    }


TINY = _architecture(
    unet=(32, 32, 64, 64),
    vae=(32, 32, 64, 64),
    heads=8,
    cross=64,
    text={"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
    image={**CLIP_TINY_IMAGE, "projection_dim": 64},
)
MODELSCOPE = _architecture(
    unet=(320, 640, 1280, 1280),
    vae=(128, 256, 512, 512),
    heads=64,
    cross=1024,
    text={"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16},
    image=CLIP_H_IMAGE,
)
