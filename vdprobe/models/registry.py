"""Models by the names that users give them.

Tables hold "module:Object", so that naming a model imports nothing of the others. A new control is a line of
`CONTROLS`, see CONTRIBUTING.
"""

from vdprobe.models.diffusion.diffusion_model import DiffusionModel
from vdprobe.models.diffusion.family import family_of
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.models.families import load_object
from vdprobe.models.model import Model

CONTROLS = {
    "pixels": "vdprobe.models.pixels.pixels:find_pixels",
    "vision:": "vdprobe.models.vision.vision:find_vision",
    "random-vision:": "vdprobe.models.vision.vision:find_vision",
    "video-swin:": "vdprobe.models.video_swin.video_swin:find_video_swin",
    "random-video-swin:": "vdprobe.models.video_swin.video_swin:find_video_swin",
}
"""What a control's name begins with, to the function that finds it: whole where it does not end in a colon."""
CONTROL_NAMES = (
    "pixels",
    "vision:ID_OR_FOLDER",
    "random-vision:ID_OR_FOLDER[:SEED]",
    "video-swin:t|s|b[:FILE]",
    "random-video-swin:t|s|b[:SEED]",
)


def is_control(name: str) -> bool:
    """Whether a model is no diffusion pipeline, so that it has neither latents nor a denoiser."""
    return _prefix(name) is not None


def find_model(name: str, image_encoder: str | None = None, adapter: str | None = None) -> Model:
    """A diffusion pipeline as `find_pipeline` finds it, or a control: one of `CONTROL_NAMES`.

    - `adapter`: what conditions and noises of a diffusion model go through, see `open_adapters`.

    Raises `ModelError` when there is no such model.
    """
    prefix = _prefix(name)
    if prefix is not None:
        return load_object(CONTROLS[prefix])(name)
    return DiffusionModel(family_of(find_pipeline(name, image_encoder, others=CONTROL_NAMES)), adapter)


def _prefix(name: str) -> str | None:
    return next((p for p in CONTROLS if name == p or (p.endswith(":") and name.startswith(p))), None)
