"""Models by the names that users give them."""

from vdprobe.controls.pixels import PIXELS, Pixels
from vdprobe.controls.vision import RANDOM_VISION, VISION, find_vision
from vdprobe.diffusion.pipeline import find_pipeline
from vdprobe.extraction.control_model import ControlModel
from vdprobe.extraction.diffusion_model import DiffusionModel
from vdprobe.extraction.model import Model

CONTROLS = (PIXELS, f"{VISION}ID_OR_FOLDER", f"{RANDOM_VISION}ID_OR_FOLDER[:SEED]")


def find_model(name: str, image_encoder: str | None = None) -> Model:
    """A diffusion pipeline as `find_pipeline` finds it, or a control: one of `CONTROLS`.

    Raises `ModelError` when there is no such model.
    """
    if name == PIXELS:
        return ControlModel(Pixels())
    if name.startswith((VISION, RANDOM_VISION)):
        return ControlModel(find_vision(name))
    return DiffusionModel(find_pipeline(name, image_encoder, others=CONTROLS))
