"""The families of video diffusion models, by the class of their denoiser.

A new family is one file (or folder) and one line here, see CONTRIBUTING. Tables hold "module:Object": nothing is
imported before a model of the family is found.
"""

from importlib import import_module
from typing import Any

FAMILIES = {
    "UNet3DConditionModel": "vdprobe.models.unet3d.family:UNet3D",
    "I2VGenXLUNet": "vdprobe.models.i2vgen_xl:I2VGenXL",
    "UNet2DConditionModel": "vdprobe.models.animatediff:AnimateDiff",
    "UNetMotionModel": "vdprobe.models.animatediff:AnimateDiff",
    "UNetSpatioTemporalConditionModel": "vdprobe.models.svd:SVD",
    "WanTransformer3DModel": "vdprobe.models.wan:Wan",
}
"""`_class_name` in the configuration of the denoiser (`unet/` or `transformer/`), to the family that reads it."""
ARCHITECTURES = {
    "tiny": "vdprobe.models.unet3d.architectures:TINY",
    "modelscope": "vdprobe.models.unet3d.architectures:MODELSCOPE",
    "tiny-animatediff": "vdprobe.models.animatediff:TINY",
    "animatediff-sd15": "vdprobe.models.animatediff:SD15",
    "tiny-i2vgen-xl": "vdprobe.models.i2vgen_xl:TINY",
    "i2vgen-xl": "vdprobe.models.i2vgen_xl:XL",
    "tiny-svd": "vdprobe.models.svd:TINY",
    "svd-xt": "vdprobe.models.svd:XT",
    "tiny-wan": "vdprobe.models.wan:TINY",
}
"""What `random:NAME` makes: the configuration of each part, as diffusers and transformers spell them."""


def load_object(path: str) -> Any:
    """The object that "module:Object" names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def architecture(name: str) -> dict[str, dict[str, Any]]:
    """The configuration of each part of an architecture with random weights."""
    return load_object(ARCHITECTURES[name])
