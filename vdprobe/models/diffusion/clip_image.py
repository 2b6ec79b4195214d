"""CLIP's image encoder.

Shape letters: F frames, N image tokens, H W height and width, S side of CLIP's pictures.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionModelWithProjection,
)

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.at_once import frames_at_once
from vdprobe.models.diffusion.parts import from_folder
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.random_clip import random_clip
from vdprobe.models.diffusion.tokens import ImageTokens
from vdprobe.specs.clip import Clip


class ImageEncoder:
    """CLIP vision model: tokens of each frame."""

    def __init__(self, processor: CLIPImageProcessorPil, model: CLIPVisionModelWithProjection) -> None:
        self.processor, self.model = processor, model

    @classmethod
    def load(cls, pipeline: Pipeline, dtype: torch.dtype, device: torch.device) -> "ImageEncoder":
        """From a pipeline's `image_encoder`."""
        model = clip_vision_model(pipeline, dtype, device)
        if "image_encoder" in pipeline.folders:
            processor = from_folder(CLIPImageProcessorPil, pipeline, "image_encoder")
            _check_processor(processor, model.config.image_size, pipeline.folder("image_encoder"))
        else:
            side = model.config.image_size
            processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
        return cls(processor, model)

    def __call__(self, pixels: Float[Tensor, "F 3 H W"], clip: Clip | None = None) -> ImageTokens:
        """Tokens of frames in [-1, 1].

        As the official code does, the picture is cut to integers 0..255 first and goes through CLIP's
        own processor: shortest edge to 224, centre crop, so the ends of a wide frame are not seen. Nothing is drawn.
        """
        integers = ((pixels.float().cpu() + 1) * 127.5).to(torch.uint8)
        ready = self.processor(images=list(integers.numpy()), return_tensors="pt", input_data_format="channels_first")
        return self.from_ready(ready.pixel_values)

    def from_ready(self, ready: Float[Tensor, "F 3 S S"]) -> ImageTokens:
        """Tokens of frames that CLIP's processor has already prepared."""
        vision, project = self.model.vision_model, self.model.visual_projection
        ready = ready.to(self.model.device, self.model.dtype)
        chunks = ready.split(frames_at_once("clip", ready.device))
        hidden = torch.cat([vision(chunk).last_hidden_state for chunk in chunks])
        return ImageTokens(hidden=hidden, projected=project(vision.post_layernorm(hidden)))


def clip_vision_model(pipeline: Pipeline, dtype: torch.dtype, device: torch.device) -> CLIPVisionModelWithProjection:
    """The vision model alone, frozen."""
    if pipeline.seed("image_encoder") is not None:
        model = random_clip(CLIPVisionModelWithProjection, pipeline, "image_encoder", dtype, device)
    else:
        model = from_folder(CLIPVisionModelWithProjection, pipeline, "image_encoder", dtype=dtype).to(device)
    return model.eval().requires_grad_(False)


def _check_processor(processor: CLIPImageProcessorPil, side: int, folder: Path) -> None:
    """Raises `ModelError` for an image processor whose pictures the model would refuse."""
    picture = torch.zeros(3, 48, 64, dtype=torch.uint8).numpy()
    try:
        ready = processor(images=[picture], return_tensors="pt", input_data_format="channels_first").pixel_values
        shape, finite = tuple(ready.shape), bool(ready.isfinite().all())
    except Exception as error:  # each setting fails in its own way
        detail = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise ModelError(f"the image processor in {folder} takes no picture ({detail}); fetch it again") from error
    if shape != (1, 3, side, side) or not finite:
        raise ModelError(
            f"the image processor in {folder} makes pictures of shape {shape[1:]}, the image encoder takes those of "
            f"{(3, side, side)} and finite values; they do not belong together"
        )
