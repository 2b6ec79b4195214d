"""The frozen encoders before the UNet: frames to latents (VAE), frames and text to tokens (CLIP).

What they give does not depend on timestep, noise or condition: it is computed once for a clip or a
text. Shape letters: F frames, C channels, H W height and width, L text tokens, N image tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from jaxtyping import Float
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    CLIPImageProcessorPil,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from vdprobe.data.model_files import from_pretrained
from vdprobe.data.tensor_files import check_finite
from vdprobe.errors import ConfigError, ModelError, suggest
from vdprobe.models.diffusion.conditions import ImageTokens
from vdprobe.models.diffusion.noise import gaussian_clip
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.networks.empty_networks import check_room, lay_out
from vdprobe.models.networks.group_norm import use_exact_group_norm
from vdprobe.models.networks.weights import randomise
from vdprobe.models.unet3d.taps import LATENTS, module_path
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import LatentSampling

FRAMES_AT_ONCE = {"cpu": {"vae": 1, "clip": 8}, "cuda": {"vae": 8, "clip": 32}}
"""Frames per encoder call, where frames do not mix. Fixed, so that values cannot depend on a batch size.

On a CPU the VAE is 1.3 times as fast frame by frame as five at a time: its activations stay in cache.
"""


def frames_at_once(encoder: str, device: torch.device) -> int:
    """How many frames an encoder takes in one call."""
    return FRAMES_AT_ONCE["cpu" if device.type in ("cpu", "meta") else "cuda"][encoder]


@dataclass(frozen=True)
class EncodedFrames:
    """What the VAE gives for a clip.

    - `taps`: tap to feature map; `mean`, `std`: the posterior, before scaling, None
      when only taps were asked for.
    """

    taps: dict[str, Float[Tensor, "F _ _ _"]]
    mean: Float[Tensor, "F C H W"] | None
    std: Float[Tensor, "F C H W"] | None


class VideoEncoder:
    """The VAE encoder, tapped. Its decoder is not kept."""

    def __init__(self, vae: AutoencoderKL, taps: Sequence[str]) -> None:
        del vae.decoder, vae.post_quant_conv
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


def load_vae(pipeline: Pipeline, dtype: torch.dtype, device: torch.device) -> AutoencoderKL:
    """The whole VAE, frozen. In float16 one that asks for it (`force_upcast`) stays in float32."""
    config = pipeline.config("vae")
    if dtype == torch.float16 and config.get("force_upcast"):
        dtype = torch.float32
    seed = pipeline.seed("vae")
    empty = lay_out(lambda: AutoencoderKL.from_config(config), f"part 'vae' of model '{pipeline.name}'")
    if seed is not None:
        vae = empty
        randomise(vae, seed, dtype, device)
    else:
        check_room(empty, pipeline.weight_files("vae"), f"part 'vae' of model '{pipeline.name}'")
        vae = from_folder(AutoencoderKL, pipeline, "vae", torch_dtype=dtype, low_cpu_mem_usage=False).to(device)
    return vae.eval().requires_grad_(False)


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


@dataclass(frozen=True)
class TextTokens:
    """Hidden states of one text, and how many tokens it had before it was cut to fit."""

    hidden: Float[Tensor, "L D"]
    count: int

    @property
    def truncated(self) -> bool:
        """Whether the end of the text was lost."""
        return self.count > len(self.hidden)


class TextEncoder:
    """Tokenizer and CLIP text model; every text is padded or cut to the model's length (77)."""

    def __init__(self, tokenizer: CLIPTokenizer, model: CLIPTextModel) -> None:
        self.tokenizer, self.model = tokenizer, model
        self.length: int = model.config.max_position_embeddings

    @classmethod
    def load(cls, pipeline: Pipeline, dtype: torch.dtype, device: torch.device) -> "TextEncoder":
        """From a pipeline's `text_encoder` and `tokenizer`."""
        model = clip_text_model(pipeline, dtype, device)
        tokenizer = (
            byte_tokenizer()
            if pipeline.seed("tokenizer") is not None
            else from_folder(CLIPTokenizer, pipeline, "tokenizer")
        )
        if len(tokenizer) > model.config.vocab_size:
            raise ModelError(
                f"model '{pipeline.name}': its tokenizer has {len(tokenizer)} tokens, its text encoder "
                f"{model.config.vocab_size}; they do not belong together"
            )
        return cls(tokenizer, model)

    def __call__(self, text: str) -> TextTokens:
        """The final hidden state (after the last layer norm) of one text."""
        count = len(self.tokenizer(text, truncation=False, verbose=False).input_ids)
        ids = self.tokenizer(
            text, padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        ).input_ids
        return TextTokens(self.from_ids(ids), count)

    def from_ids(self, ids: Tensor) -> Float[Tensor, "L D"]:
        """The final hidden state of token ids of shape (1, L)."""
        return self.model(ids.to(self.model.device)).last_hidden_state[0]


class ImageEncoder:
    """CLIP vision model: tokens of each frame."""

    def __init__(self, processor: CLIPImageProcessorPil, model: CLIPVisionModelWithProjection) -> None:
        self.processor, self.model = processor, model

    @classmethod
    def load(cls, pipeline: Pipeline, dtype: torch.dtype, device: torch.device) -> "ImageEncoder":
        """From a pipeline's `image_encoder`."""
        if pipeline.seed("image_encoder") is not None:
            model = _random_clip(CLIPVisionModelWithProjection, pipeline, "image_encoder", dtype, device)
        else:
            model = from_folder(CLIPVisionModelWithProjection, pipeline, "image_encoder", dtype=dtype).to(device)
        if "image_encoder" in pipeline.folders:
            processor = from_folder(CLIPImageProcessorPil, pipeline, "image_encoder")
            _check_processor(processor, model.config.image_size, pipeline.folder("image_encoder"))
        else:
            side = model.config.image_size
            processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
        return cls(processor, model.eval().requires_grad_(False))

    def __call__(self, pixels: Float[Tensor, "F 3 H W"]) -> ImageTokens:
        """Tokens of frames in [-1, 1].

        As the official code does, the picture is cut to integers 0..255 first and goes through CLIP's
        own processor: shortest edge to 224, centre crop, so the ends of a wide frame are not seen.
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


def clip_text_model(pipeline: Pipeline, dtype: torch.dtype, device: torch.device) -> CLIPTextModel:
    """The text model alone, frozen."""
    if pipeline.seed("text_encoder") is not None:
        return _random_clip(CLIPTextModel, pipeline, "text_encoder", dtype, device)
    model = from_folder(CLIPTextModel, pipeline, "text_encoder", dtype=dtype)
    return model.to(device).eval().requires_grad_(False)


def byte_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer whose tokens are bytes: what random weights can be given text with."""
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *(f"{symbol}</w>" for symbol in alphabet), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[], model_max_length=77)


def from_folder(cls: Any, pipeline: Pipeline, part: str, **options: Any) -> Any:
    """`cls.from_pretrained` on a part's folder, quietly, its failures in one line."""
    folder = pipeline.folder(part)
    what = f"part '{part}' of model '{pipeline.name}'"
    if not options:
        return from_pretrained(cls, folder, what)
    files = pipeline.weight_files(part)
    if cls is AutoModel:
        settings = from_pretrained(AutoConfig, folder, what)
        check_room(lay_out(lambda: AutoModel.from_config(settings), what), files, what)
    elif cls is not AutoencoderKL:
        settings = from_pretrained(cls.config_class, folder, what)
        check_room(lay_out(lambda: cls(settings), what), files, what)
    model = from_pretrained(cls, folder, what, **options)
    check_finite(model, what)
    return model


def _random_clip(
    cls: type[CLIPTextModel] | type[CLIPVisionModelWithProjection],
    pipeline: Pipeline,
    part: str,
    dtype: torch.dtype,
    device: torch.device,
) -> CLIPTextModel | CLIPVisionModelWithProjection:
    seed = pipeline.seed(part)
    assert seed is not None
    config = pipeline.config(part)
    model = lay_out(lambda: cls(cls.config_class(**config)), f"part '{part}' of model '{pipeline.name}'")
    randomise(model, seed, dtype, device)
    for name, empty in list(model.named_buffers()):
        # Position indices are made, not stored: on the meta device they have no values yet.
        parent, _, leaf = name.rpartition(".")
        assert leaf == "position_ids", name
        model.get_submodule(parent).register_buffer(
            leaf, torch.arange(empty.shape[-1], device=device)[None], persistent=False
        )
    return model.eval()
