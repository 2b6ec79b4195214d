"""The frozen model as a whole: from pixels and text to tapped features.

`Backbone.load` brings in only what the taps and conditions need. Shape letters: E expressions,
F frames, C channels, H W height and width, M condition tokens, D cross-attention width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffusers import UNet3DConditionModel
from jaxtyping import Float
from torch import Tensor

from vdprobe.data.empty_networks import lay_out
from vdprobe.diffusion.adapter import Adapter
from vdprobe.diffusion.encoders import ImageEncoder, TextEncoder, VideoEncoder
from vdprobe.diffusion.pipeline import Pipeline
from vdprobe.diffusion.schedule import Schedule
from vdprobe.diffusion.taps import canonical_tap, module_path, split_taps
from vdprobe.diffusion.unet3d import TappedUNet3D
from vdprobe.diffusion.weights import load_into, randomise
from vdprobe.errors import ConfigError, ModelError
from vdprobe.specs.features import Condition

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
LATENT_STRIDE = 8


@dataclass(frozen=True)
class Backbone:
    """Parts that are not needed are None."""

    schedule: Schedule
    video: VideoEncoder
    unet: TappedUNet3D | None
    text: TextEncoder | None
    image: ImageEncoder | None
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def load(
        cls,
        pipeline: Pipeline,
        *,
        taps: Sequence[str],
        conditions: Sequence[Condition] = (),
        adapters: Sequence[Adapter] = (),
        dtype: str = "float32",
        device: str = "auto",
    ) -> "Backbone":
        """Loads what `taps` (canonical names) and `conditions` need.

        - `adapters`: what conditions and noises go through; brought to the same device and dtype, frozen.
        - `device`: `cpu`, `cuda`, `cuda:1`, ... or `auto` (CUDA where there is one).

        Raises `ModelError` for missing or torn parts and for widths that do not fit each other,
        `ConfigError` for an unknown tap.
        """
        place = pick_device(device)
        precision = DTYPES[dtype]
        vae_taps, unet_taps = split_taps(taps)
        needs_text = any(c.uses_text for c in conditions)
        needs_image = any(c.uses_image for c in conditions)
        if unet_taps:
            check_widths(pipeline, conditions, adapters)
        for adapter in adapters:
            _place(adapter, precision, place)
        return cls(
            schedule=pipeline.schedule(),
            video=VideoEncoder.load(pipeline, vae_taps, precision, place),
            unet=load_unet(pipeline, unet_taps, precision, place) if unet_taps else None,
            text=TextEncoder.load(pipeline, precision, place) if needs_text else None,
            image=ImageEncoder.load(pipeline, precision, place) if needs_image else None,
            dtype=precision,
            device=place,
        )

    def features(
        self, noisy_latents: Float[Tensor, "C F H W"], timestep: int, conditions: Float[Tensor, "E F M D"]
    ) -> dict[str, Float[Tensor, "E F _ _ _"]]:
        """UNet taps of one clip under E conditions at once."""
        assert self.unet is not None
        out = self.unet(
            noisy_latents[None].to(self.device, self.dtype),
            torch.tensor(timestep, device=self.device),
            conditions.to(self.device, self.dtype),
        )
        return {canonical_tap(f"unet.{path}"): value for path, value in out.items()}


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one. Raises `ConfigError` for a device that is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device '{name}' is not one torch knows; write auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device '{name}' is asked for but torch sees no GPU here; write cpu or auto")
    return device


def load_unet(
    pipeline: Pipeline, taps: Sequence[str], dtype: torch.dtype, device: torch.device, *, weights: bool = True
) -> TappedUNet3D:
    """The UNet up to the last of `taps` (`unet.` paths); later weights are never read.

    Without `weights` it stays on the meta device, for shapes and costs.
    """
    config = pipeline.config("unet")
    what = f"part 'unet' of model '{pipeline.name}'"
    unet = lay_out(lambda: UNet3DConditionModel.from_config(config), what)
    tapped = TappedUNet3D(unet, [module_path(tap).removeprefix("unet.") for tap in taps])
    if not weights:
        return tapped.eval().to(dtype)
    seed = pipeline.seed("unet")
    if seed is not None:
        randomise(tapped.unet, seed, dtype, device)
    else:
        load_into(tapped.unet, pipeline.weight_files("unet"), dtype, device)
    return tapped.eval().requires_grad_(False)


def check_widths(pipeline: Pipeline, conditions: Sequence[Condition], adapters: Sequence[Adapter]) -> None:
    """Raises `ModelError` where tokens would not fit the UNet's cross-attention."""
    unet = pipeline.config("unet")
    width = unet["cross_attention_dim"]
    if any(c.uses_text for c in conditions):
        _fit(
            "text tokens", pipeline.config("text_encoder")["hidden_size"], width, "take the text encoder of this model"
        )
    for condition in conditions:
        if not condition.uses_image:
            continue
        image = pipeline.config("image_encoder")
        if condition.form == "raw":
            remedy = "give an --adapter, or an image encoder whose projection_dim fits"
            _fit("image tokens after CLIP's own projection", image["projection_dim"], width, remedy)
    for adapter in adapters:
        if adapter.image_projection is not None and any(c.uses_image for c in conditions):
            into = adapter.image_projection.linear1
            tokens = pipeline.config("image_encoder")["hidden_size"]
            remedy = "the adapter was trained for another image encoder or model"
            _fit("the adapter's input", into.in_features, tokens, remedy, "the image encoder's")
            _fit("the adapter's output", into.out_features, width, remedy)
        if adapter.noise_predictor is not None:
            channels = adapter.noise_predictor.conv.in_channels
            _fit("latent channels of the adapter", channels, unet["in_channels"], "it was trained for another model")


def _fit(what: str, have: int, need: int, remedy: str, whose: str = "the UNet's") -> None:
    if have != need:
        raise ModelError(f"{what} have width {have}, {whose} is {need}: {remedy}")


def _place(adapter: Adapter, dtype: torch.dtype, device: torch.device) -> None:
    adapter.to(device=device, dtype=dtype).eval().requires_grad_(False)
    if adapter.noise_predictor is not None:
        adapter.noise_predictor.float()  # 180 numbers whose output is standardised
