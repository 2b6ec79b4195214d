"""Long names in lines beside a figure."""

import pytest

from vdprobe.figures.style import broken


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("unet.up.2", ["unet.up.2"]),
        ("random UNet, unet.up.2", ["random UNet,", "unet.up.2"]),
        ("unet.down_blocks.0.temp_attentions.0", ["unet.down_blocks.0.", "temp_attentions.0"]),
        ("unet.down_blocks.0.temp_attentions.0, t = 150", ["unet.down_blocks.0.", "temp_attentions.0,", "t = 150"]),
        ("damo-vilab/text-to-video-ms-1.7b, vd-it", ["damo-vilab/text-to-", "video-ms-1.7b,", "vd-it"]),
        ("x" * 40, ["x" * 19, "x" * 19, "xx"]),
        ("", [""]),
    ],
)
def test_commas_come_before_dots_and_dots_before_anything(name, lines):
    assert broken(name, 19).split("\n") == lines
