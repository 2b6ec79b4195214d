"""AnimateDiff (Guo et al. 2024): Stable Diffusion's UNet with motion modules between its layers.

Facts from diffusers' `pipeline_animatediff.py` and `unet_motion_model.py`. The weights are of two repositories: the
UNet of an image model and a motion adapter, which is named after a `+` or lies in `motion_adapter/`; or of one, where
diffusers has saved them together. Tensors have the same names in all three. Every frame has tokens of its own in the
cross-attention, so that `vd-t`, `vd-i` and `vd-it` are what they are for VD-IT.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vdprobe.errors import ConfigError, FeatureError, ModelError
from vdprobe.models.diffusion.part_configs import CLIP_TINY_IMAGE, TEXT_LENGTH, clip_image, clip_text, image_vae
from vdprobe.models.diffusion.process import Process
from vdprobe.models.diffusion.read_process import read_process
from vdprobe.models.unet.family import VideoUNet
from vdprobe.models.unet3d.taps import VDIT_TAPS
from vdprobe.specs.features import Condition
from vdprobe.specs.noise_level import NoiseLevel
from vdprobe.specs.request import FeatureRequest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vdprobe.models.diffusion.adapter import Adapter
    from vdprobe.models.diffusion.clip_image import ImageEncoder
    from vdprobe.models.diffusion.frame_vae import VideoEncoder
    from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens

MOTION = "motion_adapter"


@dataclass(frozen=True)
class AnimateDiff(VideoUNet):
    """AnimateDiff on Stable Diffusion 1.5 and what is trained from it."""

    network_class: ClassVar[str] = "UNetMotionModel"

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The configuration of UNet and motion modules, joined as by diffusers.

        Raises `ModelError` where they do not fit.
        """
        image = self.pipeline.config("unet")
        if not self.in_two:
            return image
        if MOTION not in self.pipeline.folders:
            raise ModelError(
                f"model '{self.pipeline.name}' is an image model (its unet is a UNet2DConditionModel): name a motion "
                f"adapter after a +, as in {self.pipeline.name}+guoyww/animatediff-motion-adapter-v1-5-2, or put one "
                f"into {MOTION}/ beside unet/"
            )
        from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel

        from vdprobe.models.networks.empty_networks import lay_out

        motion = self.pipeline.config(MOTION)
        joined = lay_out(
            lambda: UNetMotionModel.from_unet2d(
                UNet2DConditionModel.from_config(image), MotionAdapter.from_config(motion), load_weights=False
            ),
            f"the unet of model '{self.pipeline.name}' with its motion adapter",
        )
        return dict(joined.config)

    @property
    def in_two(self) -> bool:
        """Whether UNet and motion modules have folders of their own."""
        return self.pipeline.config("unet")["_class_name"] == "UNet2DConditionModel"

    @property
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """The second up block, which DIFT (NeurIPS 2023) reads of the same image model; and VD-IT's levels."""
        return {"default": (f"unet.up.{min(1, self.blocks - 1)}",), "vd-it": VDIT_TAPS}

    def weight_files(self) -> tuple[Path, ...]:
        """The weights of both repositories where there are two."""
        return (*super().weight_files(), *(self.pipeline.weight_files(MOTION) if self.in_two else ()))

    def parts(self, condition: Condition | None) -> tuple[str, ...]:
        """The motion adapter too, where it is a part of its own."""
        return (*super().parts(condition), *((MOTION,) if condition and self.in_two else ()))

    def process(self) -> Process:
        """With linear betas, which motion modules are trained with, where the scheduler is still the image model's."""
        config = self.pipeline.config("scheduler")
        return read_process(config | {"beta_schedule": "linear"}) if self.in_two else read_process(config)

    def settings(self, request: FeatureRequest) -> dict[str, Any]:
        """None; clips may not be longer than the table of positions in time."""
        most = self.config["motion_max_seq_length"]
        if request.clips.frames > most:
            raise ConfigError(
                f"clips.frames (={request.clips.frames}) is more than '{self.pipeline.name}' has positions in time "
                f"for: set clips.frames={most} or less (it was trained on 16)"
            )
        return super().settings(request)

    def check_adapters(self, conditions: Sequence[Condition], adapters: Sequence["Adapter"]) -> None:
        """Raises `ModelError` where tokens would not fit the UNet's cross-attention."""
        from vdprobe.models.diffusion.widths import check_widths

        check_widths(self.pipeline, conditions, adapters)

    def load_image(
        self, video: "VideoEncoder", settings: Mapping[str, Any], dtype: "torch.dtype", device: "torch.device"
    ) -> "ImageEncoder":
        """CLIP's tokens of every frame."""
        from vdprobe.models.diffusion.clip_image import ImageEncoder

        return ImageEncoder.load(self.pipeline, dtype, device)

    def make_condition(
        self,
        condition: Condition,
        frames: int,
        text: "TextTokens | None",
        image: "ImageTokens | None",
        adapter: "Adapter | None",
        settings: Mapping[str, Any],
    ) -> "Tensor":
        """The tokens of each frame (F M D)."""
        from vdprobe.models.diffusion.conditions import make_condition

        return make_condition(condition, frames, None if text is None else text.hidden, image, adapter)

    def empty_condition(self, frames: int) -> "Tensor":
        """A text's tokens for each frame, without values."""
        import torch

        return torch.empty(frames, TEXT_LENGTH, self.config["cross_attention_dim"])

    def arguments(
        self, latents: "Tensor", level: NoiseLevel, conditions: Sequence["Tensor"], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Tokens as (E F) M D, clip by clip. Raises `FeatureError` for a clip that is too long."""
        import torch

        most = self.config["motion_max_seq_length"]
        if latents.shape[2] > most:
            raise FeatureError(f"clip of {latents.shape[2]} frames: '{self.pipeline.name}' takes at most {most}")
        return {
            "sample": latents,
            "timestep": torch.full((len(latents),), int(level.told), device=latents.device),
            "encoder_hidden_states": torch.cat(tuple(conditions)).to(latents),
            "return_dict": False,
        }


_SCHEDULER: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "clip_sample": False,
    "steps_offset": 1,
}


def _architecture(
    unet: dict[str, Any], vae: Sequence[int], text: dict[str, int], image: dict[str, int]
) -> dict[str, dict[str, Any]]:
    return {
        "unet": {
            "_class_name": "UNetMotionModel",
            "in_channels": 4,
            "out_channels": 4,
            "down_block_types": [*["CrossAttnDownBlockMotion"] * 3, "DownBlockMotion"],
            "up_block_types": ["UpBlockMotion", *["CrossAttnUpBlockMotion"] * 3],
            "motion_max_seq_length": 32,
            **unet,
        },
        "vae": image_vae(vae, _class_name="AutoencoderKL", up_block_types=["UpDecoderBlock2D"] * 4),
        "text_encoder": clip_text(text, "quick_gelu"),
        "image_encoder": clip_image(image, "quick_gelu"),
        "scheduler": _SCHEDULER,
    }


TINY = _architecture(
    {
        "block_out_channels": [32, 32, 64, 64],
        "layers_per_block": 1,
        "norm_num_groups": 8,
        "cross_attention_dim": 48,
        "num_attention_heads": 2,
        "motion_num_attention_heads": 2,
    },
    (32, 32, 64, 64),
    {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4},
    {**CLIP_TINY_IMAGE, "projection_dim": 48},
)
"""`random:tiny-animatediff`: the shape of AnimateDiff at a width that runs anywhere."""
SD15 = _architecture(
    {
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "cross_attention_dim": 768,
        "num_attention_heads": 8,
        "motion_num_attention_heads": 8,
    },
    (128, 256, 512, 512),
    {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "projection_dim": 768,
    },
)
"""`random:animatediff-sd15`: the published size, with CLIP ViT-L/14."""
