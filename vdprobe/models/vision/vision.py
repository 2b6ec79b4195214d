"""Vision models of the transformers library as controls: DINOv2, CLIP's image encoder, ViT, Swin, ConvNeXt ...

`vision:ID_OR_FOLDER` has the weights as published, `random-vision:ID_OR_FOLDER[:SEED]` the same architecture as it
is before any training.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from vdprobe.data.hub import download
from vdprobe.data.model_files import files_digest, weight_files
from vdprobe.errors import ModelError
from vdprobe.models.frames_alone import FrameMaps, FrameModel
from vdprobe.specs.features import ComputeDtype, ModelIdentity
from vdprobe.specs.layer import Layer
from vdprobe.specs.numbers import whole_number

if TYPE_CHECKING:
    from vdprobe.models.vision.geometry import Geometry

VISION, RANDOM_VISION = "vision:", "random-vision:"
WEIGHT_NAMES = ("model", "pytorch_model")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class VisionModel(FrameModel):
    """A vision model, located but not loaded.

    - `name`: as the user gave it (an id includes its resolved revision).
    - `seed`: of its weights where they are drawn, None where they are read.
    """

    name: str
    folder: Path
    seed: int | None = None

    @cached_property
    def geometry(self) -> "Geometry":
        """Its layers, by a forward on the meta device: no weights are read. The one thing here that imports torch."""
        from vdprobe.models.vision.geometry import measure_geometry
        from vdprobe.models.vision.vision_network import empty_network

        return measure_geometry(empty_network(self.folder, self.name), self.name)

    @property
    def taps(self) -> tuple[str, ...]:
        """`vision.layer.0` (the embeddings) to the last one; hidden states that are no maps are left out."""
        return tuple(self.geometry.channels)

    @property
    def default_taps(self) -> tuple[str, ...]:
        """The last layer."""
        return self.taps[-1:]

    @property
    def notes(self) -> tuple[str, ...]:
        """That frames are scaled, where they are."""
        side = self.geometry.side
        if side is None:
            return ()
        fact = f"the model takes frames of {side}x{side} pixels alone: frames are padded to a square and scaled to that"
        return (fact,)

    def identity(self) -> ModelIdentity:
        """By configuration, weights and processor."""
        files = [self.folder / name for name in ("config.json", *PROCESSORS) if (self.folder / name).is_file()]
        if self.seed is None:
            digest = files_digest([*files, *weight_files(self.folder, WEIGHT_NAMES, f"model '{self.name}'")])
        else:
            # The draws are made by torch and transformers, so they are theirs as much as ours.
            versions = " ".join(f"{name}={version(name).split('+')[0]}" for name in ("torch", "transformers"))
            digest = hashlib.sha256(f"random seed={self.seed} {versions} {files_digest(files)}".encode()).hexdigest()
        return ModelIdentity(name=self.name, parts={"vision": digest})

    def describe(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> list[Layer]:
        """`taps` of frames of `height` x `width` pixels."""
        fitted = self.geometry.fit(height, width)
        return [
            Layer.of(
                tap,
                (frames, self.geometry.channels[tap], fitted.height // stride, fitted.width // stride),
                stride,
            )
            for tap, stride in fitted.strides.items()
            if tap in taps
        ]

    def maps(self, taps: Sequence[str], dtype: ComputeDtype, device: str) -> FrameMaps:
        """The network with its weights. Raises `ModelError` for weights or a processor that are torn or incomplete."""
        from vdprobe.models.networks.device import DTYPES, pick_device
        from vdprobe.models.vision.vision_maps import VisionMaps, read_colours
        from vdprobe.models.vision.vision_network import load_network

        precision, place = DTYPES[dtype], pick_device(device)
        network = load_network(self.folder, self.name, self.seed, precision, place)
        return VisionMaps(network, self.geometry, read_colours(self.folder, self.name), tuple(taps), precision, place)


def find_vision(name: str) -> VisionModel:
    """Locates `vision:` or `random-vision:` and a folder or a Hugging Face id (`id@revision`).

    Raises `ModelError` when there is no such model.
    """
    kind, _, place = name.partition(":")
    seed = None
    if f"{kind}:" == RANDOM_VISION:
        head, _, last = place.rpartition(":")
        given = whole_number(last) if head else None
        place, seed = (place, 0) if given is None or given < 0 else (head, given)
    folder = Path(place).expanduser()
    if not place or not folder.is_dir():
        if place.count("/") != 1 or place.startswith((".", "/", "~")):
            raise ModelError(
                f"no vision model '{place}': neither a folder nor a Hugging Face id (owner/name[@revision]); "
                f"write {kind}:facebook/dinov2-base, say"
            )
        folder, place = download(place, [""])
        name = f"{kind}:{place}" if seed is None else f"{kind}:{place}:{seed}"
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is no folder of a transformers model: it has no config.json")
    if not any((folder / name).is_file() for name in PROCESSORS):
        raise ModelError(
            f"model '{name}' has no {PROCESSORS[0]} in {folder}, which says how colours are normalised; save its "
            "image processor there"
        )
    return VisionModel(name, folder, seed)
