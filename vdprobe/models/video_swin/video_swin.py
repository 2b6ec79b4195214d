"""Video Swin (Liu et al., CVPR 2022), a model of whole clips, as a control.

`video-swin:t`, `s` and `b` have the weights that torchvision publishes (Kinetics-400), `video-swin:b:FILE` those of a
file in the same form, such as its `swin3d_b_22k-7c6ae6fa.pth`, and `random-video-swin:b[:SEED]` the same architecture
as it is before any training. The network is torchvision's, which the extra `video-swin` installs.

Its patches are of two frames, so that F frames would give ceil(F / 2) maps. As in the segmentation models that VD-IT
is compared with, F frames give F maps here: those sum the weights of the patch embedding over its two frames (MTTR's
`models/backbone.py`, `models/video_swin_transformer.py` of ReferFormer and SgMg), which is the same as to give the
network every frame twice.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from vdprobe.data.model_files import file_digest
from vdprobe.errors import ModelError, suggest
from vdprobe.models.frames_alone import FrameMaps, FrameModel
from vdprobe.models.video_swin.stages import RANDOM_VIDEO_SWIN, STRIDES, WIDTHS, padded_to
from vdprobe.specs.features import ComputeDtype, ModelIdentity
from vdprobe.specs.layer import Layer
from vdprobe.specs.numbers import whole_number

VERSION = "stages before their downsampling, a map for each frame, 2"
"""Changed whenever the same frames and weights would give other values than before."""


@dataclass(frozen=True)
class VideoSwin(FrameModel):
    """A Video Swin, found but not loaded.

    - `name`: as the user gave it.
    - `size`: one of `WIDTHS`.
    - `file`: of its weights, None for those that torchvision publishes.
    - `seed`: of its weights where they are drawn, None where they are read.
    """

    name: str
    size: str
    file: Path | None = None
    seed: int | None = None
    taps: tuple[str, ...] = tuple(STRIDES)
    default_taps: tuple[str, ...] = tuple(STRIDES)

    def identity(self) -> ModelIdentity:
        """By size and weights, which are fetched where torchvision publishes them and they are not here yet.

        Raises `ModelError` where they cannot be had, or are not what torchvision published.
        """
        if self.seed is None:
            weights = file_digest(self.weights)
        else:
            # The draws are made by torch and torchvision, so they are theirs as much as ours.
            from vdprobe.models.video_swin.video_swin_network import torchvision_models

            torchvision_models(self.name)
            versions = " ".join(f"{name}={version(name).split('+')[0]}" for name in ("torch", "torchvision"))
            weights = f"random seed={self.seed} {versions}"
        digest = hashlib.sha256(f"{VERSION} {self.size} {weights}".encode()).hexdigest()
        return ModelIdentity(name=self.name, parts={"video-swin": digest})

    @cached_property
    def weights(self) -> Path:
        """The file of the weights that are read; raises as `identity` does."""
        if self.file is not None:
            return self.file
        from vdprobe.models.video_swin.video_swin_weights import published_file

        return published_file(self.size, self.name)

    def describe(self, taps: Sequence[str], *, frames: int, height: int, width: int) -> list[Layer]:
        """`taps` of frames of `height` x `width` pixels: a map for each frame."""
        height, width = padded_to(height, width)
        return [
            Layer.of(tap, (frames, WIDTHS[self.size] * 2**i, height // stride, width // stride), stride)
            for i, (tap, stride) in enumerate(STRIDES.items())
            if tap in taps
        ]

    def maps(self, taps: Sequence[str], dtype: ComputeDtype, device: str) -> FrameMaps:
        """The network with its weights. Raises `ModelError` without torchvision, and for a file of anything else."""
        from vdprobe.models.networks.device import DTYPES, pick_device
        from vdprobe.models.video_swin.video_swin_maps import VideoSwinMaps
        from vdprobe.models.video_swin.video_swin_network import random_network, read_network

        if self.seed is None:
            network = read_network(self.size, self.name, self.weights)
        else:
            network = random_network(self.size, self.name, self.seed)
        precision, place = DTYPES[dtype], pick_device(device)
        return VideoSwinMaps(network.to(place, precision).requires_grad_(False), tuple(taps), precision, place)


def find_video_swin(name: str) -> VideoSwin:
    """`video-swin:SIZE[:FILE]` or `random-video-swin:SIZE[:SEED]`; nothing is fetched yet.

    Raises `ModelError` for another size, a file that is not there, or a seed that is no number.
    """
    kind, _, rest = name.partition(":")
    size, given, last = rest.partition(":")
    if size not in WIDTHS:
        raise ModelError(f"no Video Swin of size '{size}' (in '{name}'): {suggest(size, WIDTHS)}; write {kind}:b, say")
    if f"{kind}:" == RANDOM_VIDEO_SWIN:
        seed = whole_number(last) if given else 0
        if seed is None or seed < 0:
            raise ModelError(f"the seed of '{name}' is no whole number; write {kind}:{size}:1, say")
        return VideoSwin(name, size, seed=seed)
    if not given:
        return VideoSwin(name, size)
    file = Path(last).expanduser()
    if not file.is_file():
        raise ModelError(
            f"'{name}' names no file: there is none at '{last}'; write {kind}:{size} for the weights that torchvision "
            "publishes"
        )
    return VideoSwin(name, size, file)
