"""I2VGen-XL (Zhang et al. 2023): a text and the picture that a video begins with.

Facts from diffusers' `pipeline_i2vgen_xl.py` and `unet_i2vgen_xl.py`. Every cross-attention sees the text, 64 tokens of
the first frame's latents and 4 of CLIP's embedding of its middle square, side by side and the same for all frames: that
is `concat`, and with the empty text `vd-i`. The latents go in as channels too, followed by how far each later frame is
along the clip. Texts are read one layer before the last. The pipeline draws the picture's latents from their posterior;
here they are its mean, so that a condition is one thing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.part_configs import (
    CLIP_H_IMAGE,
    CLIP_TINY_IMAGE,
    TEXT_LENGTH,
    clip_image,
    clip_text,
    image_vae,
)
from vdprobe.models.unet.family import VideoUNet, check_given_image
from vdprobe.specs.features import Condition, ConditionKind
from vdprobe.specs.noise_level import NoiseLevel

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vdprobe.models.diffusion.adapter import Adapter
    from vdprobe.models.diffusion.frame_vae import VideoEncoder
    from vdprobe.models.diffusion.parts_loaded import LoadedParts, TextReader
    from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens
    from vdprobe.models.unet.first_frame import FirstFrame, FirstFrameReader

SKIPPED = 1
"""Layers at the end of the text encoder that are left out (`clip_skip` of the pipeline)."""


@dataclass(frozen=True)
class TextAndImage:
    """What a forward looks at; no image where only shapes are asked for."""

    text: "Tensor"
    image: "FirstFrame | None"


class I2VGenXL(VideoUNet):
    """I2VGen-XL."""

    network_class: ClassVar[str] = "I2VGenXLUNet"
    stem: ClassVar[str] = "transformer_in"
    defaults: ClassVar[Mapping[str, Any]] = {"fps": 16}
    """As the pipeline's."""

    @property
    def tap_sets(self) -> Mapping[str, Sequence[str]]:
        """The third up block: TED (NeurIPS 2025) reads block 3."""
        return {"default": (f"unet.up.{min(2, self.blocks - 1)}",)}

    def resolve_condition(self, kind: ConditionKind, fingerprints: Mapping[str, str]) -> Condition:
        """`concat` and `vd-i`."""
        if kind in ("concat", "vd-i"):
            return Condition(kind=kind, form="raw")
        reason = (
            "it sees the first frame beside every text, also where its guidance drops the text"
            if kind == "vd-t"
            else "it sees text and image side by side, and its image is one for all frames"
        )
        raise ModelError(
            f"condition '{kind}' has no meaning for '{self.pipeline.name}': {reason}; take concat (the text and the "
            "first frame), or vd-i (the first frame and the empty text)"
        )

    def parts(self, condition: Condition | None) -> tuple[str, ...]:
        """The text encoder also for `vd-i`: the empty text is read too."""
        parts = super().parts(condition)
        return tuple(dict.fromkeys((*parts, *(("text_encoder", "tokenizer") if condition else ()))))

    @property
    def unguided(self) -> Condition:
        """The empty text, and the picture, which the model always sees."""
        return Condition(kind="vd-i", form="raw")

    def facts(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """That there is one image for all frames."""
        return ("the image is the clip's first frame for all of its frames, as the model was trained",)

    def check_adapters(self, conditions: Sequence[Condition], adapters: Sequence["Adapter"]) -> None:
        """Raises `ModelError` also where an encoder does not fit the UNet."""
        super().check_adapters(conditions, adapters)
        check_given_image(self, conditions, {"image_encoder": "projection_dim", "text_encoder": "hidden_size"})

    def load_parts(
        self,
        taps: Sequence[str],
        conditions: Sequence[Condition],
        dtype: "torch.dtype",
        device: "torch.device",
        settings: Mapping[str, Any],
        *,
        whole: bool = False,
    ) -> "LoadedParts":
        """The text encoder also for `vd-i`, whose empty text is read once."""
        from vdprobe.models.unet.denoiser import UNetDenoiser

        parts = super().load_parts(taps, conditions, dtype, device, settings, whole=whole)
        if parts.denoiser is None or all(condition.uses_text for condition in conditions):
            return parts
        import torch

        assert isinstance(parts.denoiser, UNetDenoiser)
        with torch.inference_mode():
            empty = (parts.text or self.load_text(dtype, device))("")
        return replace(parts, denoiser=replace(parts.denoiser, empty=empty))

    def load_text(self, dtype: "torch.dtype", device: "torch.device") -> "TextReader":
        """CLIP's text encoder, one layer before its last."""
        from vdprobe.models.diffusion.clip_text import TextEncoder

        return TextEncoder.load(self.pipeline, dtype, device, skipped=SKIPPED)

    def load_image(
        self, video: "VideoEncoder", settings: Mapping[str, Any], dtype: "torch.dtype", device: "torch.device"
    ) -> "FirstFrameReader":
        """CLIP on the middle square; latents as those of the clip are scaled."""
        from vdprobe.models.diffusion.clip_image import clip_vision_model
        from vdprobe.models.unet.first_frame import FirstFrameReader
        from vdprobe.models.unet.pictures import centred

        clip = clip_vision_model(self.pipeline, dtype, device)
        return FirstFrameReader(clip, video, centred, scale=video.vae.config.scaling_factor)

    def make_condition(
        self,
        condition: Condition,
        frames: int,
        text: "TextTokens | None",
        image: "ImageTokens | None",
        adapter: "Adapter | None",
        settings: Mapping[str, Any],
    ) -> TextAndImage:
        """The text, which is the empty one for `vd-i`, and the first frame."""
        from vdprobe.models.unet.first_frame import FirstFrame

        assert text is not None and image is not None
        return TextAndImage(text.hidden, FirstFrame.of(image))

    def empty_condition(self, frames: int) -> TextAndImage:
        """A text's tokens without values, and no picture."""
        import torch

        return TextAndImage(torch.empty(TEXT_LENGTH, self.config["cross_attention_dim"]), None)

    def arguments(
        self, latents: "Tensor", level: NoiseLevel, conditions: Sequence[TextAndImage], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The picture's latents, then for each later frame its share of the clip, in every channel and place."""
        import torch

        count, _, frames = latents.shape[:3]
        token = latents.new_zeros(1, self.config["cross_attention_dim"])
        images = [c.image for c in conditions]
        firsts = [torch.zeros_like(latents[0, :, 0]) if i is None else i.latents.to(latents) for i in images]
        later = [torch.ones_like(latents[:, :, 0]) * (index / (frames - 1)) for index in range(1, frames)]
        return {
            "sample": latents,
            "timestep": torch.full((count,), int(level.told), device=latents.device),
            "fps": torch.full((count,), settings["fps"], device=latents.device),
            "image_latents": torch.stack([torch.stack(firsts), *later], dim=2),
            "image_embeddings": torch.stack([token if i is None else i.embedding.to(token) for i in images]),
            "encoder_hidden_states": torch.stack([c.text for c in conditions]).to(latents),
            "return_dict": False,
        }


_SCHEDULER: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    "beta_schedule": "squaredcos_cap_v2",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "clip_sample": False,
    "steps_offset": 1,
}
"""The scheduler of diffusers' `convert_i2vgen_to_diffusers.py`."""


def _architecture(
    unet: dict[str, Any], vae: Sequence[int], text: dict[str, int], image: dict[str, int]
) -> dict[str, dict[str, Any]]:
    return {
        "unet": {"_class_name": "I2VGenXLUNet", "in_channels": 4, "out_channels": 4, **unet},
        "vae": image_vae(vae, _class_name="AutoencoderKL", up_block_types=["UpDecoderBlock2D"] * 4),
        "text_encoder": clip_text(text),
        "image_encoder": clip_image(image),
        "scheduler": _SCHEDULER,
    }


TINY = _architecture(
    {
        "block_out_channels": [32, 32, 64, 64],
        "layers_per_block": 1,
        "cross_attention_dim": 48,
        "attention_head_dim": 8,
    },
    (32, 32, 64, 64),
    {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4},
    {**CLIP_TINY_IMAGE, "projection_dim": 48},
)
"""`random:tiny-i2vgen-xl`: the shape of I2VGen-XL at a width that runs anywhere."""
XL = _architecture(
    {
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "cross_attention_dim": 1024,
        "attention_head_dim": 64,
    },
    (128, 256, 512, 512),
    {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16},
    CLIP_H_IMAGE,
)
"""`random:i2vgen-xl`: the published size."""
