"""Names, files, sizes and colours, none of which needs torchvision."""

import hashlib
import subprocess
import sys
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from vdprobe.errors import ModelError
from vdprobe.models.frames_alone import FrameMaps, FrameModel
from vdprobe.models.video_swin import video_swin_weights
from vdprobe.models.video_swin.video_swin import find_video_swin
from vdprobe.models.video_swin.video_swin_maps import VideoSwinMaps
from vdprobe.models.video_swin.video_swin_network import torchvision_models

CPU = torch.device("cpu")
TAPS = tuple(f"video-swin.stage.{i}" for i in range(4))
MEAN, STD = (np.array(v, np.float32)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


def frames(count, height=32, width=64):
    return np.random.default_rng(count).uniform(-1, 1, (count, 3, height, width)).astype(np.float32)


def test_names(tmp_path):
    (tmp_path / "a:b.pth").write_bytes(b"weights")
    plain, drawn, third = (
        find_video_swin(f"{name}") for name in ("video-swin:b", "random-video-swin:t", "video-swin:s")
    )
    assert (plain.size, plain.file, plain.seed) == ("b", None, None)
    assert (drawn.size, drawn.file, drawn.seed) == ("t", None, 0)
    assert third.size == "s"
    assert find_video_swin("random-video-swin:s:12").seed == 12
    read = find_video_swin(f"video-swin:t:{tmp_path / 'a:b.pth'}")
    assert (read.weights, read.seed, read.name) == (tmp_path / "a:b.pth", None, f"video-swin:t:{tmp_path / 'a:b.pth'}")
    assert isinstance(read, FrameModel)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("video-swin:", r"no Video Swin of size '' \(in 'video-swin:'\): valid: t, s, b; write video-swin:b, say"),
        ("video-swin:l", r"no Video Swin of size 'l' .*valid: t, s, b"),
        ("random-video-swin:tiny", r"no Video Swin of size 'tiny' .*valid: t, s, b; write random-video-swin:b, say"),
        (
            "random-video-swin:t:x",
            "the seed of 'random-video-swin:t:x' is no whole number; write random-video-swin:t:1",
        ),
        ("random-video-swin:t:", "the seed of 'random-video-swin:t:' is no whole number"),
        ("random-video-swin:t:-1", "is no whole number"),
        (
            "video-swin:b:",
            "'video-swin:b:' names no file: there is none at ''; write video-swin:b for the weights that",
        ),
        ("video-swin:b:nowhere.pth", "names no file: there is none at 'nowhere.pth'; write video-swin:b for the"),
    ],
)
def test_names_that_mean_nothing(name, message):
    with pytest.raises(ModelError, match=message) as caught:
        find_video_swin(name)
    assert "\n" not in str(caught.value)


def test_taps_are_four_stages_and_need_neither_torch_nor_torchvision():
    code = """
import sys
from vdprobe.models.video_swin.video_swin import find_video_swin
model = find_video_swin("video-swin:b")
for layer in model.describe(model.taps, frames=5, height=90, width=320):
    print(layer.tap, *layer.shape, layer.stride)
assert not {"torch", "torchvision", "transformers"} & set(sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    # 90 pixels are padded to 96, a map for each frame
    assert out.splitlines() == [
        "video-swin.stage.0 5 128 24 80 4",
        "video-swin.stage.1 5 256 12 40 8",
        "video-swin.stage.2 5 512 6 20 16",
        "video-swin.stage.3 5 1024 3 10 32",
    ]


def test_channels_of_the_sizes():
    for size, channels in {"t": [96, 192, 384, 768], "s": [96, 192, 384, 768], "b": [128, 256, 512, 1024]}.items():
        layers = find_video_swin(f"video-swin:{size}").describe(TAPS, frames=2, height=32, width=32)
        assert [layer.shape[1] for layer in layers] == channels
    (layer,) = find_video_swin("video-swin:t").describe([TAPS[2]], frames=2, height=32, width=32)
    assert (layer.tap, layer.shape) == (TAPS[2], (2, 384, 2, 2))


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_each_frame_has_a_map_in_the_colours_of_the_weights(mean_network, count):
    maps = VideoSwinMaps(mean_network, TAPS, torch.float32, CPU)
    assert isinstance(maps, FrameMaps)
    pixels = frames(count, 32, 40)  # padded to 64 columns
    found = maps(pixels)
    seen = np.zeros((count, 3, 32, 64), np.float32)  # the padding's colour is 0 once normalised
    seen[..., :40] = (pixels / 2 + 0.5 - MEAN) / STD
    for i, (tap, value) in enumerate(found.items()):
        stride = 4 * 2**i
        assert tap == TAPS[i]
        assert maps.strides(32, 40)[tap] == stride
        assert value.shape == (count, 96 * 2**i, 32 // stride, 64 // stride)
        expected = seen.reshape(count, 3, 32 // stride, stride, 64 // stride, stride).mean((3, 5))
        assert np.allclose(value[:, :3], expected, atol=1e-5)
    assert maps.attrs(32, 40) == {"model_frame_size": [32, 64]}


def test_nothing_after_the_last_tap_is_computed(mean_network):
    def refuse(*_):
        raise AssertionError("computed in vain")

    mean_network.features[3].register_forward_hook(refuse)
    maps = VideoSwinMaps(mean_network, (TAPS[1], TAPS[0]), torch.float32, CPU)
    assert list(maps(frames(2))) == [TAPS[1], TAPS[0]]
    with pytest.raises(AssertionError):
        VideoSwinMaps(mean_network, TAPS, torch.float32, CPU)(frames(2))


def test_who_a_file_of_weights_is(tmp_path):
    def part(name):
        return find_video_swin(name).identity().parts["video-swin"]

    for name, content in {"a.pth": b"1", "b.pth": b"1", "c.pth": b"2"}.items():
        (tmp_path / name).write_bytes(content)
    assert part(f"video-swin:t:{tmp_path}/a.pth") == part(f"video-swin:t:{tmp_path}/b.pth")
    assert part(f"video-swin:t:{tmp_path}/a.pth") != part(f"video-swin:t:{tmp_path}/c.pth")
    assert part(f"video-swin:t:{tmp_path}/a.pth") != part(f"video-swin:s:{tmp_path}/a.pth")


def forget_torchvision(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("kind", ["random-video-swin", "video-swin"])
def test_without_torchvision_the_error_says_what_to_install(monkeypatch, kind):
    forget_torchvision(monkeypatch)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ModelError) as caught:
        find_video_swin(f"{kind}:t").identity()
    message = str(caught.value)
    assert message.startswith(f"model '{kind}:t' needs torchvision, which cannot be imported (")
    assert f'pip install "vdprobe[video-swin]", in the build that goes with torch {torch.__version__}' in message
    assert "\n" not in message


def test_a_torchvision_for_another_torch(monkeypatch, tmp_path):
    forget_torchvision(monkeypatch)
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator nms\\ndoes not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"cannot be imported \(operator nms does not exist\): pip install"):
        torchvision_models("video-swin:t")


CONTENT = b"published weights"
DIGITS = hashlib.sha256(CONTENT).hexdigest()[:8]
FILE = f"swin3d_b_1k-{DIGITS}.pth"
URL = f"https://weights.example/models/{FILE}"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The empty folder in which torch's hub keeps files, and torchvision's table of weights."""
    table = SimpleNamespace(Swin3D_B_Weights=SimpleNamespace(KINETICS400_V1=SimpleNamespace(url=URL)))
    monkeypatch.setattr(video_swin_weights, "torchvision_models", lambda _: table)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub" / "checkpoints"


def test_published_weights_are_fetched_once_and_known_by_content(monkeypatch, hub):
    fetched = []

    def fetch(url, place, digits, progress):
        assert (url, digits) == (URL, DIGITS)
        fetched.append(url)
        (hub / FILE).write_bytes(CONTENT)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    first, again = (find_video_swin("video-swin:b") for _ in range(2))
    assert first.identity() == again.identity()
    assert fetched == [URL]
    assert again.weights == hub / FILE
    assert find_video_swin(f"video-swin:b:{hub / FILE}").identity().parts == first.identity().parts


def test_a_changed_file_in_the_cache_is_not_taken_for_the_published_one(hub):
    hub.mkdir(parents=True)
    (hub / FILE).write_bytes(b"fine-tuned")
    with pytest.raises(ModelError, match=rf"{FILE} is not the file that torchvision publishes: .*begin with {DIGITS};"):
        find_video_swin("video-swin:b").identity()


@pytest.mark.parametrize(
    ("offline", "reason"), [(True, "HF_HUB_OFFLINE is set"), (False, "URLError: <urlopen error no route>")]
)
def test_what_cannot_be_fetched_names_the_remedy(monkeypatch, hub, offline, reason):
    def fail(*_, **__):
        assert not offline
        raise URLError("no route")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(ModelError) as caught:
        find_video_swin("video-swin:b").identity()
    assert str(caught.value) == (
        f"the weights of 'video-swin:b' are not in {hub} and cannot be fetched ({reason}); go online once, or fetch "
        f"{URL} elsewhere and put it there, or give it as video-swin:b:FILE"
    )
