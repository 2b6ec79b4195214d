"""What the model makes of a text: short videos by DDIM, and the sheet that shows them side by side."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vdprobe.data.hold import hold
from vdprobe.data.write_video import RATE, write_video
from vdprobe.errors import ConfigError, FeatureError, ModelError
from vdprobe.figures.film import draw_sheet, write_gif
from vdprobe.models.diffusion.clip_text import TextEncoder
from vdprobe.models.diffusion.decoder import VideoDecoder
from vdprobe.models.diffusion.forms import resolve_condition
from vdprobe.models.diffusion.pipeline import Pipeline, find_pipeline
from vdprobe.models.diffusion.sampling import DDIM, initial_noise, sample_latents
from vdprobe.models.diffusion.widths import check_widths
from vdprobe.models.networks.device import DTYPES, pick_device
from vdprobe.models.unet3d.load import LATENT_STRIDE, check_class, load_unet
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.environment import environment
from vdprobe.specs.features import ComputeDtype
from vdprobe.training.checkpoint import claim, replace_file

RECORD, VIDEOS, PICTURES = "sample.json", "videos", "pictures"
PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
SIDE, FRAMES = 256, 16
"""Pixels of a side and frames, where nothing says otherwise: what ModelScopeT2V was trained at."""
MOST_LATENTS = 512
"""Of a side that a model's configuration names."""
SMALL_FRAMES = 8
"""Frames of a model that was trained on smaller pictures than that."""


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """What to sample: `count` videos of each prompt, with the seeds `seed`, `seed` + 1, ...

    - `model`: a pipeline folder, a Hugging Face id, `tiny-t2v` or `random:tiny`.
    - `frames`, `height`, `width`: of the videos, sides in pixels; None takes what the model was
      trained at, as far as its configuration says, see `fill_sizes`.
    - `steps`, `guidance`: of DDIM; a guidance of 1 is none. The defaults are those of diffusers'
      pipeline for ModelScopeT2V.
    """

    prompts: tuple[str, ...]
    model: str = "tiny-t2v"
    frames: int | None = None
    height: int | None = None
    width: int | None = None
    steps: int = 50
    guidance: float = 9.0
    seed: int = 0
    count: int = 1
    dtype: ComputeDtype = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        if not self.prompts:
            raise ConfigError(
                "nothing says what to sample: give a prompt, such as 'a dog runs', or --prompts-from FILE"
            )
        for prompt in self.prompts:
            if self.prompts.count(prompt) > 1:
                raise ConfigError(
                    f"prompt '{prompt}' is given twice, and would give the same video; raise count for more of it"
                )
        for name in ("height", "width"):
            side = getattr(self, name)
            if side is not None and (side < LATENT_STRIDE or side % LATENT_STRIDE):
                near = max(1, round(side / LATENT_STRIDE)) * LATENT_STRIDE
                raise ConfigError(
                    f"{name} (={side}) must be a multiple of {LATENT_STRIDE}, the pixels of a latent; write {near}"
                )
        if self.frames is not None and self.frames < 2:
            raise ConfigError(f"frames (={self.frames}) must be at least 2: one frame skips the temporal layers")
        for name, least in (("steps", 1), ("count", 1), ("seed", 0), ("guidance", 0)):
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name} (={getattr(self, name)}) must be at least {least}")


@dataclass(frozen=True)
class Sample:
    """One video, and the files that hold it."""

    prompt: str
    seed: int
    mp4: Path
    gif: Path


@dataclass(frozen=True)
class Samples:
    """Where everything lies; `notes` are facts that whoever looks at the videos should know."""

    samples: tuple[Sample, ...]
    sheet: Path
    record: Path
    notes: tuple[str, ...]
    seconds: float


def run_sample(config: SampleConfig, out: Path, *, on_progress: Callable[[int, int], None] | None = None) -> Samples:
    """Samples every prompt into the folder `out`: `videos/*.mp4`, `pictures/*.gif`, their sheet, and `sample.json`.

    The videos have a folder of their own, which every command takes as its videos.

    `sample.json` holds the configuration with nothing left open, the model by content, and versions;
    it is there before the first video. One sample is computed at a time, so that what runs beside it
    changes no bit of it. `on_progress` is called with (steps done, steps in all).

    Raises `ConfigError` where `out` holds samples of another configuration, and `DataError` where another process
    works in it.
    """
    with hold(out):
        return _run(config, out, on_progress)


def _run(config: SampleConfig, out: Path, on_progress: Callable[[int, int], None] | None) -> Samples:
    began = time.monotonic()
    pipeline = find_pipeline(config.model)
    check_class(pipeline, "sample", "sample it with diffusers")
    config = replace(fill_sizes(config, pipeline), device=str(pick_device(config.device)))
    ddim = DDIM.from_config(pipeline.config("scheduler"))
    ddim.steps(config.steps)  # a count that does not fit fails here, before weights are read
    check_widths(pipeline, [resolve_condition("vd-t", {})], ())
    identity = to_plain(pipeline.identity(PARTS))
    begun = any(
        film for place in (out, out / VIDEOS) for film in place.glob("*.mp4")
    )  # once they lay beside the record
    claim(out, {"config": to_plain(config), "model": identity}, name=RECORD, begun=begun)
    samples = tuple(
        Sample(prompt, seed, out / VIDEOS / f"{name}.mp4", out / PICTURES / f"{name}.gif")
        for i, prompt in enumerate(config.prompts)
        for seed in range(config.seed, config.seed + config.count)
        for name in [f"{i:03d}-seed{seed}"]
    )
    model = _Model.load(pipeline, ddim, config)
    notes = tuple(note for prompt in config.prompts if (note := model.cut(prompt)) is not None)
    told = json.dumps(_describe(config, identity, samples, notes), indent=2, ensure_ascii=False)
    replace_file(out / RECORD, lambda part: part.write_text(told, "utf-8"))
    for folder in (VIDEOS, PICTURES):
        (out / folder).mkdir(exist_ok=True)
    done, total = 0, len(samples) * config.steps

    def tick() -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, total)

    rows = []
    for sample in samples:
        frames = model.video(sample, config, tick)
        replace_file(sample.mp4, partial(write_video, frames))
        replace_file(sample.gif, partial(write_gif, frames, rate=RATE))
        rows.append((sample.prompt if config.count == 1 else f"{sample.prompt} (seed {sample.seed})", frames))
    sheet = out / PICTURES / "sheet.png"
    replace_file(sheet, partial(draw_sheet, rows))
    return Samples(samples, sheet, out / RECORD, notes, time.monotonic() - began)


def fill_sizes(config: SampleConfig, pipeline: Pipeline) -> SampleConfig:
    """The configuration with sizes that were left open taken from the model.

    A side is 8 times the UNet's `sample_size`, or 256 pixels where its configuration has none; a
    video has 16 frames, or 8 where the model's side is under 256.
    """
    latent = pipeline.config("unet").get("sample_size")
    if latent is not None and (not isinstance(latent, int) or not 1 <= latent <= MOST_LATENTS):
        raise ModelError(
            f"the UNet of model '{pipeline.name}' has sample_size {str(latent)[:60]}, it must be a whole number from 1 "
            f"to {MOST_LATENTS}"
        )
    side = SIDE if latent is None else latent * LATENT_STRIDE
    frames = config.frames or (FRAMES if side >= SIDE else SMALL_FRAMES)
    return replace(config, frames=frames, height=config.height or side, width=config.width or side)


@dataclass(frozen=True)
class _Model:
    """The parts that take part, and the tokens of every text."""

    unet: Any
    decoder: VideoDecoder
    ddim: DDIM
    tokens: dict[str, Any]

    @classmethod
    @torch.inference_mode()
    def load(cls, pipeline: Pipeline, ddim: DDIM, config: SampleConfig) -> "_Model":
        place = DTYPES[config.dtype], torch.device(config.device)
        encode = TextEncoder.load(pipeline, *place)
        return cls(
            unet=load_unet(pipeline, ["unet.out"], *place),
            decoder=VideoDecoder.load(pipeline, *place),
            ddim=ddim,
            tokens={text: encode(text) for text in ("", *config.prompts)},
        )

    def cut(self, prompt: str) -> str | None:
        """What to say of a prompt that is longer than the text encoder reads."""
        tokens = self.tokens[prompt]
        if not tokens.truncated:
            return None
        return f"prompt of {tokens.count} tokens cut to {len(tokens.hidden)}, its end is not seen: '{prompt[:60]}...'"

    @torch.inference_mode()
    def video(self, sample: Sample, config: SampleConfig, tick: Callable[[], None]) -> np.ndarray:
        """RGB frames (frame, height, width, 3) of one sample."""
        assert config.frames and config.height and config.width
        noise = initial_noise(
            sample.prompt,
            sample.seed,
            channels=self.unet.unet.config.in_channels,
            frames=config.frames,
            height=config.height // LATENT_STRIDE,
            width=config.width // LATENT_STRIDE,
        )
        text, empty = self.tokens[sample.prompt].hidden, self.tokens[""].hidden
        try:
            (latents,) = sample_latents(
                self.unet,
                self.ddim,
                noise[None],
                text[None],
                empty,
                steps=config.steps,
                guidance=config.guidance,
                on_step=tick,
            )
            return self.decoder(latents).cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise FeatureError("the device ran out of memory: lower frames, height or width, or the dtype") from error


def _describe(
    config: SampleConfig, identity: dict[str, Any], samples: tuple[Sample, ...], notes: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "config": to_plain(config),
        "model": identity,
        "samples": [
            {"prompt": s.prompt, "seed": s.seed, "mp4": f"{VIDEOS}/{s.mp4.name}", "gif": f"{PICTURES}/{s.gif.name}"}
            for s in samples
        ],
        "notes": list(notes),
        **environment("av"),
    }
