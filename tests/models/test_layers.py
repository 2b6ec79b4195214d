import pytest

from vdprobe.errors import ConfigError
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.models.unet3d.layers import describe_layers
from vdprobe.models.unet3d.taps import canonical_tap, expand_taps, module_path


def test_modelscope_on_the_meta_device():
    """Channels and strides of the taps are the paper's (512, 320+640, 320+1280, 640+1280)."""
    layers = {
        row.tap: row for row in describe_layers(find_pipeline("random:modelscope"), frames=5, height=256, width=448)
    }
    assert {tap: (layers[tap].shape[1], layers[tap].stride) for tap in expand_taps(["vd-it"])} == {
        "vae.down.2": (512, 4),
        "unet.in": (320, 8),
        "unet.up.2": (640, 8),
        "unet.down.0": (320, 16),
        "unet.up.1": (1280, 16),
        "unet.down.1": (640, 32),
        "unet.up.0": (1280, 32),
    }
    assert layers["unet.up.2"].shape == (5, 640, 32, 56)
    assert layers["unet.up.2"].bytes == 2 * 5 * 640 * 32 * 56
    assert layers["unet.up.2"].reached == pytest.approx(0.80, abs=0.01)
    reached = [row.reached for row in layers.values() if row.reached is not None]
    assert reached == sorted(reached)
    assert reached[-1] == 1


def test_every_step_is_a_tap(tiny):
    few = describe_layers(tiny, frames=2, height=64, width=64)
    many = describe_layers(tiny, frames=2, height=64, width=64, every_step=True)
    assert {row.tap for row in few} < {row.tap for row in many}
    assert "unet.mid_block.attentions.0" in {row.tap for row in many}


def test_a_place_has_one_name():
    assert canonical_tap("unet.down_blocks.1") == canonical_tap("unet.down.1") == "unet.down.1"
    assert canonical_tap("unet.transformer_in") == "unet.in"
    assert canonical_tap("unet.up_blocks.1.resnets.0") == "unet.up_blocks.1.resnets.0"
    assert module_path("vae.down.2") == "vae.encoder.down_blocks.2.resnets.-1"
    assert expand_taps(["unet.in", "vd-it", "unet.transformer_in"])[0] == "unet.in"
    assert len(expand_taps(["unet.in", "vd-it"])) == 7


def test_errors_teach():
    with pytest.raises(ConfigError, match=r"tap 'up\.2' is neither an alias .* vdprobe layers MODEL"):
        expand_taps(["up.2"])
    with pytest.raises(ConfigError, match="no tap is asked for"):
        expand_taps([])
