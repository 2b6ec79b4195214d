import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.data.resize import PAD_COLOUR
from vdprobe.errors import ConfigError, DataError
from vdprobe.models.pixels.patches import patches
from vdprobe.models.pixels.pixels import Pixels

CPU = torch.device("cpu")


def frames(height=64, width=96, count=2):
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, height, width)).astype(np.float32)


def test_a_patch_holds_all_its_values_red_first_row_by_row():
    pixels = torch.from_numpy(frames(16, 24))
    found = patches(pixels, 8)
    assert found.shape == (2, 192, 2, 3)
    assert torch.equal(found[1, :, 1, 2], pixels[1, :, 8:16, 16:24].reshape(-1))
    with pytest.raises(DataError, match="frames of 24x16 pixels do not divide into patches of 7; resize or crop them"):
        patches(pixels, 7)


@given(st.integers(8, 70), st.integers(8, 70))
def test_each_tap_is_padded_to_its_own_patches(height, width):
    control = Pixels()
    maps = control.maps(control.taps, "float32", "cpu")
    found = maps(frames(height, width))
    layers = {layer.tap: layer for layer in control.describe(control.taps, frames=2, height=height, width=width)}
    assert list(found) == list(layers) == ["pixels.4", "pixels.8", "pixels.16", "pixels.32"]
    for tap, value in found.items():
        assert value.shape == layers[tap].shape
        assert layers[tap].stride == maps.strides(height, width)[tap] == int(tap.rpartition(".")[2])
        assert (value.shape[2] - 1) * layers[tap].stride < height <= value.shape[2] * layers[tap].stride
    # the padding is in the colour of all padding
    rest = -height % 32
    last = found["pixels.32"][0, :, -1, 0].reshape(3, 32, 32)[:, 32 - rest :, :8]
    assert rest == 0 or np.allclose(last, (np.array(PAD_COLOUR) * 2 - 1)[:, None, None], atol=1e-6)


def test_who_it_is():
    assert Pixels().identity() == Pixels().identity()
    assert list(Pixels().identity().parts) == ["pixels"]


def test_taps_by_name():
    assert Pixels().pick_taps(None) == Pixels().taps
    assert Pixels().pick_taps(["pixels.8", "pixels.4", "pixels.8"]) == ("pixels.8", "pixels.4")
    with pytest.raises(ConfigError, match=r"'pixels' has no tap 'pixels.9': did you mean .*valid: pixels.4, pixels.8"):
        Pixels().pick_taps(["pixels.9"])
    with pytest.raises(ConfigError, match=r"no tap of 'pixels' is asked for; valid: pixels.4"):
        Pixels().pick_taps([])
