"""What tests ask of a family: one condition at one noise level, without draws of the VAE."""

from vdprobe.specs.request import FeatureRequest
from vdprobe.specs.video import ClipSampling, Resize


def family_request(multiple, **changes):
    """A request of frames padded to a multiple of so many pixels, with changes."""
    values = {
        "clips": ClipSampling(),
        "resize": Resize(multiple=multiple),
        "lighting": None,
        "taps": None,
        "conditions": ("vd-t",),
        "noises": ("gaussian",),
        "timesteps": ("s=0.3",),
        "latents": "mode",
        "seed": 0,
        "compute_dtype": "float32",
        "store_dtype": "float32",
    }
    return FeatureRequest(**values | changes)
