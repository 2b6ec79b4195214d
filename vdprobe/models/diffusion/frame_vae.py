"""The image VAE of models that encode every frame alone: frames to latents, tapped.

Shape letters: F frames, C channels, H W height and width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder
from jaxtyping import Float
from torch import Tensor, nn

from vdprobe.errors import ConfigError, ModelError, suggest
from vdprobe.models.diffusion.at_once import frames_at_once
from vdprobe.models.diffusion.noise import gaussian_clip
from vdprobe.models.diffusion.parts import from_folder
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.tokens import EncodedFrames
from vdprobe.models.diffusion.vae_taps import LATENTS
from vdprobe.models.networks.empty_networks import check_room, lay_out
from vdprobe.models.networks.group_norm import use_exact_group_norm
from vdprobe.models.networks.weights import randomise
from vdprobe.models.unet3d.taps import module_path
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import LatentSampling
from vdprobe.specs.layer import Shape
from vdprobe.specs.spans import Spans, frame_spans

CLASSES: dict[str, type] = {
    "AutoencoderKL": AutoencoderKL,
    "AutoencoderKLTemporalDecoder": AutoencoderKLTemporalDecoder,
}
"""The image VAEs; of SVD's the decoder mixes frames, the encoder does not."""


class VideoEncoder:
    """The VAE encoder, tapped. Its decoder is not kept."""

    def __init__(self, vae: AutoencoderKL | AutoencoderKLTemporalDecoder, taps: Sequence[str]) -> None:
        for name in ("decoder", "post_quant_conv"):
            if hasattr(vae, name):
                delattr(vae, name)
        # Convolutions run 1.1 (float32) to 2.4 times (bfloat16) as fast in this layout on a CPU.
        # torch's own group normalisation is wrong in it, by percents where a frame is flat.
        use_exact_group_norm(vae)
        self.vae = vae.to(memory_format=torch.channels_last)
        modules = dict(vae.named_modules())
        self.taps = {tap: _last_index(tap, modules) for tap in taps if tap != LATENTS}
        self.latents_tapped = LATENTS in taps

    @classmethod
    def load(cls, pipeline: Pipeline, taps: Sequence[str], dtype: torch.dtype, device: torch.device) -> "VideoEncoder":
        """From a pipeline's `vae`. In float16 a VAE that asks for it (`force_upcast`) stays in float32."""
        return cls(load_vae(pipeline, dtype, device), taps)

    def __call__(self, pixels: Float[Tensor, "F 3 H W"], *, posterior: bool) -> EncodedFrames:
        """Encodes frames in [-1, 1]; without `posterior`, and where latents are no tap, it stops after the last tap."""
        posterior = posterior or self.latents_tapped
        caught: dict[str, list[Tensor]] = {tap: [] for tap in self.taps}
        handles = [
            self.vae.get_submodule(path).register_forward_hook(
                lambda _m, _i, output, tap=tap: caught[tap].append(output)
            )
            for tap, path in self.taps.items()
        ]
        pixels = pixels.to(self.vae.dtype, memory_format=torch.channels_last)
        try:
            moments = [self._encode(chunk, posterior) for chunk in pixels.split(frames_at_once("vae", pixels.device))]
        finally:
            for handle in handles:
                handle.remove()
        taps = {tap: self._frame_map(tap, torch.cat(values), len(pixels)) for tap, values in caught.items()}
        if not posterior:
            return EncodedFrames(taps, None, None)
        mean, logvar = torch.cat([m for m in moments if m is not None]).chunk(2, dim=1)
        if self.latents_tapped:
            taps[LATENTS] = mean * self.vae.config.scaling_factor
        return EncodedFrames(taps, mean, torch.exp(0.5 * logvar.clamp(-30.0, 20.0)))

    def _encode(self, pixels: Tensor, posterior: bool) -> Tensor | None:
        encoder: Any = self.vae.encoder
        if posterior:
            hidden = encoder(pixels)
            return hidden if self.vae.quant_conv is None else self.vae.quant_conv(hidden)
        x = encoder.conv_in(pixels)
        last = max(int(path.split(".")[2]) if ".down_blocks." in path else 99 for path in self.taps.values())
        for i, block in enumerate(encoder.down_blocks):
            x = block(x)
            if i == last:
                return None
        encoder.mid_block(x)
        return None

    def _frame_map(self, tap: str, value: Tensor, frames: int) -> Tensor:
        if value.ndim != 4 or len(value) != frames:
            raise ConfigError(
                f"tap '{tap}' yields shape {tuple(value.shape)}, no map per frame; tap the module around it"
            )
        return value

    def spans(self, frames: int) -> Spans:
        """One latent frame a frame."""
        return frame_spans(frames)

    def facts(self, frames: int) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def latents(self, encoded: EncodedFrames, sampling: LatentSampling, clip: Clip) -> Float[Tensor, "C F H W"]:
        """Scaled latents of a clip; a `sample` is drawn from (seed, video, frame) alone."""
        assert encoded.mean is not None and encoded.std is not None
        latents = encoded.mean.transpose(0, 1)
        if sampling.kind == "sample":
            assert sampling.seed is not None
            channels, _, height, width = latents.shape
            draw = gaussian_clip("posterior", sampling.seed, clip.video, clip.frames, (channels, height, width))
            latents = latents + encoded.std.transpose(0, 1) * draw.to(latents.device, latents.dtype)
        return latents * self.vae.config.scaling_factor


def load_vae(
    pipeline: Pipeline, dtype: torch.dtype, device: torch.device
) -> AutoencoderKL | AutoencoderKLTemporalDecoder:
    """The whole VAE, frozen. In float16 one that asks for it (`force_upcast`) stays in float32."""
    config = pipeline.config("vae")
    kind = vae_class(pipeline)
    if dtype == torch.float16 and config.get("force_upcast"):
        dtype = torch.float32
    seed = pipeline.seed("vae")
    empty = lay_out(lambda: kind.from_config(config), f"part 'vae' of model '{pipeline.name}'")
    if seed is not None:
        vae = empty
        randomise(vae, seed, dtype, device)
    else:
        check_room(empty, pipeline.weight_files("vae"), f"part 'vae' of model '{pipeline.name}'")
        vae = from_folder(kind, pipeline, "vae", torch_dtype=dtype, low_cpu_mem_usage=False).to(device)
    return vae.eval().requires_grad_(False)


def vae_class(pipeline: Pipeline) -> Any:
    """The class of a pipeline's image VAE. Raises `ModelError` for another kind of VAE."""
    name = pipeline.config("vae").get("_class_name", "AutoencoderKL")
    if name not in CLASSES:
        raise ModelError(
            f"model '{pipeline.name}': its vae is of class {str(name)[:60]}, its denoiser takes latents of "
            f"{' or '.join(CLASSES)}; they do not belong together"
        )
    return CLASSES[name]


def vae_shapes(pipeline: Pipeline, taps: Sequence[str], *, frames: int, height: int, width: int) -> dict[str, Shape]:
    """(frame, channel, height, width) of VAE taps, without weights."""
    config, kind = pipeline.config("vae"), vae_class(pipeline)
    what = f"part 'vae' of model '{pipeline.name}'"
    encoder = VideoEncoder(lay_out(lambda: kind.from_config(config), what).eval(), taps)
    pixels = torch.empty(frames, 3, height, width, device="meta")
    encoded = lay_out(lambda: encoder(pixels, posterior=False), what)
    return {tap: tuple(value.shape) for tap, value in encoded.taps.items()}


def _last_index(tap: str, modules: dict[str, nn.Module]) -> str:
    """Resolves `resnets.-1`, which the alias `vae.down.i` uses, and checks that the module exists."""
    path = module_path(tap).removeprefix("vae.")
    if path.endswith(".-1"):
        siblings = path.removesuffix("-1")
        count = sum(m.startswith(siblings) and "." not in m.removeprefix(siblings) for m in modules)
        path = f"{siblings}{count - 1}"
    if path not in modules:
        names = [f"vae.{m}" for m in modules if m.startswith("encoder.")]
        raise ConfigError(f"unknown tap '{tap}': {suggest(f'vae.{path}', names)}")
    return path
