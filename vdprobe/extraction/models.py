"""Models by the names that users give them."""

from vdprobe.controls.pixels import PIXELS, Pixels
from vdprobe.controls.video_swin import RANDOM_VIDEO_SWIN, VIDEO_SWIN, find_video_swin
from vdprobe.controls.vision import RANDOM_VISION, VISION, find_vision
from vdprobe.diffusion.pipeline import find_pipeline
from vdprobe.extraction.control_model import ControlModel
from vdprobe.extraction.diffusion_model import DiffusionModel
from vdprobe.extraction.model import Model

CONTROLS = (
    PIXELS,
    f"{VISION}ID_OR_FOLDER",
    f"{RANDOM_VISION}ID_OR_FOLDER[:SEED]",
    f"{VIDEO_SWIN}t|s|b[:FILE]",
    f"{RANDOM_VIDEO_SWIN}t|s|b[:SEED]",
)


def is_control(name: str) -> bool:
    """Whether a model is no diffusion pipeline, so that it has neither latents nor a UNet."""
    return name == PIXELS or name.startswith((VISION, RANDOM_VISION, VIDEO_SWIN, RANDOM_VIDEO_SWIN))


def find_model(name: str, image_encoder: str | None = None) -> Model:
    """A diffusion pipeline as `find_pipeline` finds it, or a control: one of `CONTROLS`.

    Raises `ModelError` when there is no such model.
    """
    if name == PIXELS:
        return ControlModel(Pixels())
    if name.startswith((VISION, RANDOM_VISION)):
        return ControlModel(find_vision(name))
    if name.startswith((VIDEO_SWIN, RANDOM_VIDEO_SWIN)):
        return ControlModel(find_video_swin(name))
    return DiffusionModel(find_pipeline(name, image_encoder, others=CONTROLS))
