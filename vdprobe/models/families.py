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
    "CogVideoXTransformer3DModel": "vdprobe.models.cogvideox:CogVideoX",
    "MochiTransformer3DModel": "vdprobe.models.mochi:Mochi",
    "CosmosTransformer3DModel": "vdprobe.models.cosmos:CosmosPredict2",
    "LTXVideoTransformer3DModel": "vdprobe.models.ltx.family:LTXVideo",
    "HunyuanVideoTransformer3DModel": "vdprobe.models.hunyuan_video.family:HunyuanVideo",
    "HunyuanVideo15Transformer3DModel": "vdprobe.models.hunyuan_video15.family:HunyuanVideo15",
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
    "tiny-wan": "vdprobe.models.wan_sizes:TINY",
    "tiny-wan2.2-5b": "vdprobe.models.wan_sizes:TINY_5B",
    "tiny-wan2.2-a14b": "vdprobe.models.wan_sizes:TINY_A14B",
    "wan-1.3b": "vdprobe.models.wan_sizes:WAN_1_3B",
    "wan-14b": "vdprobe.models.wan_sizes:WAN_14B",
    "wan2.2-5b": "vdprobe.models.wan_sizes:WAN_22_5B",
    "wan2.2-a14b": "vdprobe.models.wan_sizes:WAN_22_A14B",
    "tiny-cogvideox": "vdprobe.models.cogvideox_sizes:TINY",
    "tiny-cogvideox-5b": "vdprobe.models.cogvideox_sizes:TINY_5B",
    "tiny-cogvideox-1.5-5b": "vdprobe.models.cogvideox_sizes:TINY_SECOND",
    "cogvideox-2b": "vdprobe.models.cogvideox_sizes:SIZE_2B",
    "cogvideox-5b": "vdprobe.models.cogvideox_sizes:SIZE_5B",
    "cogvideox-1.5-5b": "vdprobe.models.cogvideox_sizes:SIZE_SECOND",
    "tiny-mochi": "vdprobe.models.mochi:TINY",
    "mochi-1": "vdprobe.models.mochi:PREVIEW",
    "tiny-cosmos-predict2": "vdprobe.models.cosmos:TINY",
    "cosmos-predict2-2b": "vdprobe.models.cosmos:SIZE_2B",
    "cosmos-predict2-14b": "vdprobe.models.cosmos:SIZE_14B",
    "tiny-ltx": "vdprobe.models.ltx.architectures:TINY",
    "tiny-ltx-0.9.5": "vdprobe.models.ltx.architectures:TINY_095",
    "ltx-2b": "vdprobe.models.ltx.architectures:LTX_2B",
    "ltx-13b": "vdprobe.models.ltx.architectures:LTX_13B",
    "tiny-hunyuan-video": "vdprobe.models.hunyuan_video.architectures:TINY",
    "hunyuan-video": "vdprobe.models.hunyuan_video.architectures:HUNYUAN_VIDEO",
    "tiny-hunyuan-video-1.5": "vdprobe.models.hunyuan_video15.architectures:TINY",
    "hunyuan-video-1.5": "vdprobe.models.hunyuan_video15.architectures:HUNYUAN_VIDEO_15",
}
"""What `random:NAME` makes: the configuration of each part, as diffusers and transformers spell them."""


def load_object(path: str) -> Any:
    """The object that "module:Object" names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def architecture(name: str) -> dict[str, dict[str, Any]]:
    """The configuration of each part of an architecture with random weights."""
    return load_object(ARCHITECTURES[name])
