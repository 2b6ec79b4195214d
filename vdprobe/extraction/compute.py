"""The features of one clip under every pending spec, with everything shared done once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vdprobe.data.frames import FrameReader
from vdprobe.data.lighting import apply_lighting
from vdprobe.data.resize import PreparedFrames, prepare_frames
from vdprobe.errors import FeatureError
from vdprobe.extraction.clip_work import ClipWork
from vdprobe.extraction.exact import exact_facts, one_thread
from vdprobe.extraction.plan import Plan
from vdprobe.extraction.report import Report
from vdprobe.extraction.writer import ItemWriter
from vdprobe.models.model import EncodedClip, LoadedModel, Note
from vdprobe.specs.features import FeatureSpec, Item
from vdprobe.specs.layer import Shape

CUT_LIGHT = "the change of light takes values past 0 or 255, where they are cut"


@dataclass
class Computer:
    """A loaded model, and the video open at the moment."""

    plan: Plan
    model: LoadedModel
    reader: FrameReader | None = None

    @classmethod
    def load(cls, plan: Plan) -> "Computer":
        """Loads what the plan needs, and no more."""
        config = plan.config.model
        return cls(plan, plan.model.load(plan.specs, config.device, compiled=config.compile))

    @torch.inference_mode()
    def run(
        self, clip: ClipWork, pending: Mapping[FeatureSpec, Sequence[Item]], writer: ItemWriter, report: Report
    ) -> None:
        """Computes and queues the pending items of a clip. Raises `DataError` if it cannot be read."""
        if not pending:
            return
        if self.plan.config.exact and self.model.device.type == "cpu":
            with one_thread():
                self._run(clip, pending, writer, report, exact_facts())
        else:
            self._run(clip, pending, writer, report, {})

    def _run(
        self,
        clip: ClipWork,
        pending: Mapping[FeatureSpec, Sequence[Item]],
        writer: ItemWriter,
        report: Report,
        told: Mapping[str, Any],
    ) -> None:
        """`told` is what a reader of the items should know of the way they are computed."""
        prepared, seen = self.prepare(clip, report)
        facts = {**seen, **told}
        try:
            encoded = self.model.encode(clip.clip, prepared, pending)
            for spec, items in pending.items():
                for chunk in clip.batches(spec, self.plan.config.texts_per_forward):
                    if any(item in items for item in chunk):
                        self._write(encoded, spec, chunk, items, facts, writer, report)
        except torch.OutOfMemoryError as error:
            raise FeatureError(
                "the device ran out of memory: lower batch_size, clips.frames or resize.short_side"
            ) from error

    def prepare(self, clip: ClipWork, report: Report) -> tuple[PreparedFrames, dict[str, Any]]:
        """Decodes, lights and resizes a clip; the video stays open for its next clip.

        Beside the frames: what a reader of any of its items should know of them.
        """
        if self.reader is None or self.reader.video != clip.video:
            if self.reader is not None:
                self.reader.close()
            self.reader = FrameReader(clip.video)
        frames = self.reader.read(clip.frames)
        for note in self.reader.notes:
            report.note(Note(note, clip.video.id))
        lighting, facts = self.plan.config.lighting, {}
        if lighting is not None:
            lit = apply_lighting(frames, lighting, clip.video.id, clip.frames)
            frames, facts["values_cut_by_lighting"] = lit.frames, lit.clipped.tolist()
            if lit.clipped.any():
                report.note(Note(CUT_LIGHT, f"{clip.name}: {lit.clipped.sum() / frames.size:.2%} of its values"))
        prepared = prepare_frames(frames, self.plan.config.resize)
        facts["source_size"], facts["frame_size"] = list(prepared.source_size), list(prepared.size)
        return prepared, facts | {"padded_size": list(prepared.pixels.shape[2:])}

    def _write(
        self,
        encoded: EncodedClip,
        spec: FeatureSpec,
        chunk: Sequence[Item],
        items: Sequence[Item],
        facts: Mapping[str, Any],
        writer: ItemWriter,
        report: Report,
    ) -> None:
        """Queues those `items` that are in a `chunk`, which is computed as a whole."""
        values = _features(encoded, spec, chunk)
        report.forwards += len(spec.timesteps)
        places = {tap: encoded.place(tap, _shape(value)) for tap, value in values.items()}
        for row, item in enumerate(chunk):
            if item in items:
                mine = {tap: value[row] for tap, value in values.items()}
                for note in encoded.notes(spec, item):
                    report.note(note)
                writer.write(spec, item, mine, places, {**facts, **encoded.attrs(spec, item)})


def _features(encoded: EncodedClip, spec: FeatureSpec, items: Sequence[Item]) -> dict[str, np.ndarray]:
    """Tap to (item, timestep, map, channel, height, width)."""
    cells = []
    for t in spec.timesteps or (None,):
        out = encoded.features(spec, items, t)
        cells.append({tap: to_numpy(out[tap]) for tap in spec.taps})
    if len(cells) == 1:  # not copied
        return {tap: value[:, None] for tap, value in cells[0].items()}
    return {tap: np.stack([cell[tap] for cell in cells], axis=1) for tap in spec.taps}


def _shape(values: np.ndarray) -> Shape:
    """Of the features of one item at one timestep."""
    maps, channels, height, width = values.shape[2:]
    return maps, channels, height, width


def to_numpy(value: Tensor) -> np.ndarray:
    """To host memory; bfloat16, which NumPy lacks, as float32 (exactly)."""
    value = value.float() if value.dtype == torch.bfloat16 else value
    return value.cpu().numpy()
