"""What an imported head is asked with: as the official scripts do, unless it is told otherwise."""

import math

import pytest
from PIL import Image

from vdprobe.data.resize import target_size
from vdprobe.errors import ConfigError
from vdprobe.head.config import HeadConfig
from vdprobe.head.files import save_head
from vdprobe.head.head import Head
from vdprobe.specs.canonical import to_plain
from vdprobe.specs.load import merge
from vdprobe.specs.video import ClipSampling
from vdprobe.studies.predict.config import parse_predict_config
from vdprobe.studies.predict.head_folder import HeadFolder, find_head
from vdprobe.studies.predict.official import compare_official, official_manner

SMALL = {"width": 32, "heads": 4, "neck_hidden": (8,) * 4, "neck_widths": (8,) * 4, "feedforward": 16}
WINDOWS, CENTRED = ClipSampling(), ClipSampling(kind="centred", frames=5)


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported")
    save_head(Head(HeadConfig(**SMALL, encoder_layers=1, decoder_layers=1)), folder)
    return find_head(folder)


@pytest.fixture
def ask(imported, tmp_path):
    """A prediction of videos with a layout."""

    def parse(layout, found=imported, **changes):
        features = {"model": {"pipeline": "random:tiny"}, "videos": {"path": str(tmp_path), "layout": layout}}
        return parse_predict_config(merge({"features": features}, changes), found)

    return parse


@pytest.mark.parametrize(
    ("layout", "benchmark", "size", "text_case", "query", "clips"),
    [
        ("ref-ytvos", None, (360, 682), "raw", "video", WINDOWS),
        ("ref-davis", None, (360, 682), "raw", "video", WINDOWS),
        ("ref-davis", "plain", (360, 682), "raw", "video", WINDOWS),
        ("ref-davis", "davis", (360, 682), "raw", "clip", WINDOWS),
        ("ref-davis17", None, (360, 682), "raw", "clip", WINDOWS),
        ("mevis", None, (338, 640), "raw", "video", WINDOWS),
        ("frames", None, (338, 640), "raw", "video", WINDOWS),
        ("a2d", None, (338, 640), "lower", "video", CENTRED),
        ("jhmdb", None, (338, 640), "lower", "video", CENTRED),
        ("refcoco+", None, (338, 640), "raw", "video", WINDOWS),
    ],
)
def test_the_layout_decides(ask, layout, benchmark, size, text_case, query, clips):
    """The size is that of 910x480 pixels."""
    config = ask(layout, benchmark=benchmark)
    assert target_size(480, 910, config.features.resize) == size
    assert (config.text_case, config.query, config.features.clips) == (text_case, query, clips)
    assert config.threshold == 0.5


def test_an_explicit_option_wins(ask):
    config = ask(
        "ref-davis17",
        query="video",
        text_case="lower",
        features={"resize": {"short_side": 288, "long_side": 512}, "clips": {"frames": 12}},
    )
    resize = config.features.resize
    assert (config.query, config.text_case, resize.short_side, resize.long_side) == ("video", "lower", 288, 512)
    assert config.features.clips == ClipSampling(frames=12)
    assert ask("ref-ytvos", features={"resize": {"short_side": 288}}).features.resize.long_side is None
    assert ask("a2d", features={"clips": {"kind": "windows"}}).features.clips == ClipSampling(frames=5)
    assert ask("a2d", features={"clips": {"frames": 7}}).features.clips == ClipSampling(kind="centred", frames=7)


def test_what_is_as_officially_is_said(ask):
    plain = to_plain(ask("ref-ytvos"))
    (note,) = compare_official("ref-ytvos", plain)
    assert note == (
        "as the official code does for 'ref-ytvos': features.resize.short_side 360, features.resize.long_side null, "
        "text_case raw, query video"
    )
    _, other = compare_official("davis", plain)
    assert other == "other than the official code for 'davis': query video (official clip)"
    _, other = compare_official("davis", to_plain(ask("ref-davis17", features={"clips": {"frames": 5}})))
    assert other == "other than the official code for 'davis': features.clips.frames 5 (official 36)"


def test_a_benchmark_that_is_asked_for_says_which_script_it_is():
    assert official_manner("files", "davis") == "davis"
    assert official_manner("files", None) == "plain"


def test_a_trained_head_keeps_what_it_was_trained_with(ask, tmp_path):
    clips = {"kind": "centred", "frames": 5}
    found = HeadFolder(tmp_path, "", {"features": {}, "text_case": "lower"}, {}, (), centred=clips)
    assert ask("a2d", found).features.clips == CENTRED
    on_videos = ask("ref-ytvos", found)
    assert (on_videos.features.clips, on_videos.features.resize.long_side) == (WINDOWS, 640)
    assert (on_videos.text_case, on_videos.query) == ("lower", "video")


@pytest.mark.parametrize("threshold", [0, 1, -0.5, math.nan])
def test_a_threshold_is_a_probability(ask, threshold):
    with pytest.raises(ConfigError, match=r"threshold .* is of a probability: above 0 and below 1"):
        ask("files", threshold=threshold)


def test_a_threshold_as_a_logit(ask, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    assert ask("frames").least_logit == 0
    assert ask("frames", threshold=0.9).least_logit == pytest.approx(math.log(9))
