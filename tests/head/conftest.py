from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vdprobe.head.official import read_head
from vdprobe.head.outputs import Target

FOLDER = Path(__file__).parents[1] / "fixtures" / "vdit_head"
NECK = "backbone.0.diff_ftex.act_postprocess"


@dataclass(frozen=True)
class Recorded:
    """Inputs of the official head, as ours takes them, and its outputs by name."""

    tensors: dict[str, torch.Tensor]
    clips: int

    @property
    def inputs(self):
        sizes = self.tensors.get("sizes")
        return (
            [self.tensors[f"level.{i}"] for i in range(4)],
            self.tensors["text_features"],
            self.tensors["text_pad_mask"],
            None if sizes is None else [tuple(size) for size in sizes.tolist()],
        )

    @property
    def target(self):
        boxes, masks, valid = (self.tensors[f"target.{name}"] for name in ("boxes", "masks", "valid"))
        by_clip = (x.reshape(self.clips, -1, *x.shape[-n:]) for x, n in ((boxes, 1), (masks > 0, 2)))
        return Target(*by_clip, visible=valid.reshape(self.clips, -1) > 0)


@pytest.fixture(scope="session")
def one_clip():
    return Recorded(load_file(FOLDER / "fixture.safetensors"), clips=1)


@pytest.fixture(scope="session")
def two_padded_clips():
    return Recorded(load_file(FOLDER / "padded.safetensors"), clips=2)


def identity(width_in, width):
    """A 1x1 convolution that hands on the first channels as they are."""
    return {"weight": torch.eye(width, width_in)[..., None, None], "bias": torch.zeros(width)}


@pytest.fixture(scope="session")
def official_tensors(one_clip):
    """The official weights; the recorded levels have left the neck already, so it does nothing here."""
    tensors = load_file(FOLDER / "head.safetensors")
    for i, level in enumerate(one_clip.inputs[0]):
        width = level.shape[1]
        hidden = width if i == 3 else 2 * width
        for j, conv in enumerate((identity(width, hidden), identity(hidden, width))):
            tensors |= {f"{NECK}.{i}.{j}.{name}": tensor for name, tensor in conv.items()}
    return tensors


@pytest.fixture
def head(official_tensors):
    return read_head(official_tensors).eval()
