"""The features of one clip under every pending spec, with everything shared done once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vdprobe.data.frames import FrameReader
from vdprobe.data.resize import PreparedFrames, prepare_frames
from vdprobe.diffusion.adapter import Adapter
from vdprobe.diffusion.adapter_set import open_adapters
from vdprobe.diffusion.backbone import Backbone
from vdprobe.diffusion.conditions import ImageTokens, make_condition
from vdprobe.diffusion.encoders import TextTokens
from vdprobe.diffusion.forms import Cell
from vdprobe.diffusion.noise import add_noise, make_noise
from vdprobe.errors import FeatureError
from vdprobe.extraction.plan import ClipWork, Plan, grid_cells
from vdprobe.extraction.writer import ItemWriter
from vdprobe.specs.features import Condition, FeatureSpec, Item, Noise

if TYPE_CHECKING:
    from vdprobe.extraction.run import Report

ONE_FRAME = (
    "clip of one frame: the temporal layers are skipped, all but the first of the mid block, as in the official code"
)


@dataclass
class SharedClip:
    """What a clip's grid cells have in common; `tokens` and `noises` fill up as cells ask for them."""

    vae_taps: dict[str, Float[Tensor, "F _ _ _"]]
    latents: Float[Tensor, "C F H W"] | None
    image: ImageTokens | None
    tokens: dict[tuple[Condition, str | None], Float[Tensor, "F M D"]] = field(default_factory=dict)
    noises: dict[Noise, Float[Tensor, "C F H W"] | None] = field(default_factory=dict)


@dataclass
class Computer:
    """A loaded backbone, the video open at the moment, and the tokens of its texts."""

    plan: Plan
    backbone: Backbone
    adapters: dict[Cell, Adapter] = field(default_factory=dict)
    texts: dict[str, TextTokens] = field(default_factory=dict)
    reader: FrameReader | None = None

    @classmethod
    def load(cls, plan: Plan) -> "Computer":
        """Loads what the plan needs, and no more."""
        config = plan.config.model
        adapters = open_adapters(config.adapter, plan.pipeline, grid_cells(plan.config)) if plan.conditions else {}
        backbone = Backbone.load(
            plan.pipeline,
            taps=plan.taps,
            conditions=plan.conditions,
            adapters=tuple({id(adapter): adapter for adapter in adapters.values()}.values()),
            dtype=config.dtype,
            device=config.device,
        )
        if config.compile and backbone.unet is not None:
            backbone.unet.compile()
        return cls(plan, backbone, adapters)

    @torch.inference_mode()
    def run(
        self, clip: ClipWork, pending: Mapping[FeatureSpec, Sequence[Item]], writer: ItemWriter, report: "Report"
    ) -> None:
        """Computes and queues the pending items of a clip. Raises `DataError` if it cannot be read."""
        if not pending:
            return
        prepared = self.prepare(clip, report)
        shared = self.encode(clip, prepared, pending)
        for spec, items in pending.items():
            if spec.condition is None:
                values = {tap: to_numpy(value)[None] for tap, value in shared.vae_taps.items()}
                writer.write(spec, items[0], values, *self._description(spec, items[0], values, prepared))
                continue
            for chunk in clip.batches(spec, self.plan.config.texts_per_forward):
                if not any(item in items for item in chunk):
                    continue
                values = self._features(spec, chunk, clip, shared, report)
                for row, item in enumerate(chunk):
                    if item in items:
                        mine = {tap: value[row] for tap, value in values.items()}
                        writer.write(spec, item, mine, *self._description(spec, item, mine, prepared))

    def prepare(self, clip: ClipWork, report: "Report") -> PreparedFrames:
        """Decodes and resizes a clip; the video stays open for its next clip."""
        if self.reader is None or self.reader.video != clip.video:
            if self.reader is not None:
                self.reader.close()
            self.reader = FrameReader(clip.video)
            self.texts.clear()  # the texts of a whole dataset would fill a device's memory
        frames = self.reader.read(clip.frames)
        for note in self.reader.notes:
            report.note(note, clip.video.id)
        if len(clip.frames) == 1:
            report.note(ONE_FRAME, clip.name)
        return prepare_frames(frames, self.plan.config.resize)

    def encode(self, clip: ClipWork, prepared: PreparedFrames, specs: Iterable[FeatureSpec]) -> SharedClip:
        """VAE and image tokens, as far as `specs` need them."""
        pixels = torch.from_numpy(prepared.pixels).to(self.backbone.device)
        conditions = [spec.condition for spec in specs if spec.condition is not None]
        sampling = next((spec.latents for spec in specs if spec.latents is not None), None)
        encoded = self.backbone.video(pixels, posterior=sampling is not None)
        return SharedClip(
            vae_taps=encoded.taps,
            latents=self.backbone.video.latents(encoded, sampling, clip.video.id, clip.frames) if sampling else None,
            image=self.backbone.image(pixels)
            if self.backbone.image and any(c.uses_image for c in conditions)
            else None,
        )

    def tokens(
        self, shared: SharedClip, spec: FeatureSpec, item: Item, clip: ClipWork, report: "Report"
    ) -> Float[Tensor, "F M D"]:
        """The condition of an item; made once for all noises and timesteps."""
        assert spec.condition is not None
        key = (spec.condition, item.text)
        if key not in shared.tokens:
            hidden = None if item.text is None else self._text(item.text, clip, report).hidden
            shared.tokens[key] = make_condition(
                spec.condition, len(clip.frames), hidden, shared.image, self._adapter(spec)
            )
        return shared.tokens[key]

    def noise(self, shared: SharedClip, spec: FeatureSpec, clip: ClipWork) -> Float[Tensor, "C F H W"] | None:
        """The noise of a clip; made once for all conditions and timesteps that share it."""
        assert shared.latents is not None and spec.noise is not None
        if spec.noise not in shared.noises:
            shared.noises[spec.noise] = make_noise(
                spec.noise, shared.latents, clip.video.id, clip.frames, self._adapter(spec)
            )
        return shared.noises[spec.noise]

    def _adapter(self, spec: FeatureSpec) -> Adapter | None:
        assert spec.condition is not None and spec.noise is not None
        return self.adapters.get((spec.condition.kind, spec.noise.kind))

    def forward(
        self,
        spec: FeatureSpec,
        latents: Float[Tensor, "C F H W"],
        noise: Float[Tensor, "C F H W"] | None,
        conditions: Float[Tensor, "E F M D"],
        t: int,
    ) -> dict[str, Tensor]:
        """Taps of `spec` at timestep `t`, each (expression, frame, channel, height, width)."""
        signal, amount = self.backbone.schedule.coefficients(t)
        try:
            out = self.backbone.features(add_noise(latents, noise, signal, amount), t, conditions)
        except torch.OutOfMemoryError as error:
            raise FeatureError(
                f"the device ran out of memory with {len(conditions)} expressions a forward: lower batch_size, "
                "clips.frames or resize.short_side"
            ) from error
        return {tap: out[tap] for tap in spec.taps}

    def _features(
        self, spec: FeatureSpec, items: Sequence[Item], clip: ClipWork, shared: SharedClip, report: "Report"
    ) -> dict[str, np.ndarray]:
        """Tap to (expression, timestep, frame, channel, height, width)."""
        assert shared.latents is not None
        conditions = torch.stack([self.tokens(shared, spec, item, clip, report) for item in items])
        noise = self.noise(shared, spec, clip)
        cells = []
        for t in spec.timesteps:
            out = self.forward(spec, shared.latents, noise, conditions, t)
            report.forwards += 1
            cells.append({tap: to_numpy(value) for tap, value in out.items()})
        return {tap: np.stack([cell[tap] for cell in cells], axis=1) for tap in spec.taps}

    def _text(self, text: str, clip: ClipWork, report: "Report") -> TextTokens:
        assert self.backbone.text is not None
        if text not in self.texts:
            self.texts[text] = self.backbone.text(text)
        tokens = self.texts[text]
        if tokens.truncated:
            fact = f"text of {tokens.count} tokens cut to {len(tokens.hidden)}, its end is not seen: '{text[:60]}...'"
            report.note(fact, clip.video.id)
        return tokens

    def _description(
        self, spec: FeatureSpec, item: Item, values: Mapping[str, np.ndarray], prepared: PreparedFrames
    ) -> tuple[dict[str, int], dict[str, Any]]:
        """Strides of the taps, and what a reader of the item should know."""
        height, width = prepared.pixels.shape[-2:]
        attrs: dict[str, Any] = {
            "source_size": list(prepared.source_size),
            "frame_size": list(prepared.size),
            "padded_size": [height, width],
        }
        if spec.timesteps:
            attrs["sigma"] = [level.sigma for level in self.plan.levels]
            attrs["logsnr"] = [level.logsnr for level in self.plan.levels]
        if item.text is not None and self.texts[item.text].truncated:
            attrs["text_tokens_before_cut"] = self.texts[item.text].count
        return {tap: round(height / value.shape[-2]) for tap, value in values.items()}, attrs


def to_numpy(value: Tensor) -> np.ndarray:
    """To host memory; bfloat16, which NumPy lacks, as float32 (exactly)."""
    value = value.float() if value.dtype == torch.bfloat16 else value
    return value.cpu().numpy()
