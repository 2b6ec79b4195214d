"""torchvision's own Video Swin; skipped where the extra `video-swin` is not installed or is for another torch."""

import copy

import numpy as np
import pytest
import torch

from vdprobe.errors import ModelError
from vdprobe.models.video_swin.video_swin import find_video_swin
from vdprobe.models.video_swin.video_swin_maps import COLOURS, VideoSwinMaps
from vdprobe.models.video_swin.video_swin_network import empty_network, stage_maps

try:
    from torchvision.models import video
except (ImportError, RuntimeError) as error:  # the latter in a build for another torch
    pytest.skip(f"the extra video-swin cannot be imported: {error}", allow_module_level=True)

CPU = torch.device("cpu")
TAPS = tuple(f"video-swin.stage.{i}" for i in range(4))


def frames(count, height=64, width=96):
    return np.random.default_rng(count).uniform(-1, 1, (count, 3, height, width)).astype(np.float32)


@pytest.fixture(scope="module")
def small():
    """The architecture at a small width, with windows that are smaller than the maps, so that they are shifted."""
    torch.manual_seed(3)
    sizes = {"patch_size": [2, 4, 4], "embed_dim": 8, "depths": [2, 2, 1, 1], "num_heads": [1, 2, 2, 2]}
    return video.swin_transformer.SwinTransformer3d(**sizes, window_size=[2, 3, 3]).eval()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A random network of the real size t in a file as torchvision writes it, and the network."""
    file = tmp_path_factory.mktemp("weights") / "swin3d_t.pth"
    torch.manual_seed(4)
    network = video.swin3d_t(weights=None).eval()
    torch.save(network.state_dict(), file)
    return file, network


def maps_of(network, taps=TAPS, dtype=torch.float32):
    return VideoSwinMaps(network, tuple(taps), dtype, CPU)


def normalised(pixels):
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (torch.from_numpy(pixels) / 2 + 0.5 - mean) / std


def theirs(network, pixels):
    """The stages in torchvision's own forward of a clip, each (pair of frames, channel, height, width)."""
    found = []
    hooks = [
        network.features[place].register_forward_hook(lambda *args: found.append(args[2][0].permute(0, 3, 1, 2)))
        for place in (0, 2, 4, 6)
    ]
    with torch.inference_mode():
        network(normalised(pixels).transpose(0, 1)[None])
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_stages_are_those_of_torchvisions_forward_of_every_frame_twice(small, count):
    with torch.inference_mode():
        found = maps_of(small)(frames(count))
    for i, (tap, expected) in enumerate(zip(TAPS, theirs(small, frames(count).repeat(2, axis=0)), strict=True)):
        assert found[tap].shape == (count, 8 * 2**i, 16 // 2**i, 24 // 2**i)
        assert torch.allclose(found[tap], expected, atol=1e-5)


def summed(network):
    """With patches of one frame, whose weights are those of both frames summed: as MTTR, ReferFormer and SgMg do."""
    changed, two = copy.deepcopy(network), network.patch_embed.proj
    one = torch.nn.Conv3d(3, two.out_channels, (1, 4, 4), (1, 4, 4))
    one.load_state_dict({"weight": two.weight.sum(2, keepdim=True), "bias": two.bias})
    changed.patch_embed.proj, changed.patch_embed.tuple_patch_size = one, (1, 4, 4)
    return changed


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_stages_are_those_of_patch_weights_summed_over_time(small, count):
    with torch.inference_mode():
        found = maps_of(small)(frames(count))
    for tap, expected in zip(TAPS, theirs(summed(small), frames(count)), strict=True):
        assert found[tap].shape == expected.shape
        assert torch.allclose(found[tap], expected, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_equal_frames_have_equal_maps(small, count):
    """But for the attention's bias by position, the one thing that tells equal frames apart in whole windows."""
    alike = copy.deepcopy(small)
    for name, parameter in alike.named_parameters():
        if name.endswith("relative_position_bias_table"):
            parameter.data.zero_()
    pixels = frames(1).repeat(count, axis=0)
    with torch.inference_mode():
        found = maps_of(alike)(pixels)
    for tap in TAPS:
        assert found[tap].std((1, 2, 3)).min() > 0.01
        assert torch.allclose(found[tap], found[tap][:1].expand_as(found[tap]), atol=1e-5)


def test_frames_see_the_rest_of_their_clip_and_taps_do_not_depend_on_each_other(small):
    pixels = frames(6)
    changed = pixels.copy()
    changed[5] = 0
    with torch.inference_mode():
        first, other = maps_of(small)(pixels), maps_of(small)(changed)
        alone = maps_of(small, TAPS[1:2])(pixels)
    assert not torch.equal(first[TAPS[3]][2], other[TAPS[3]][2])
    assert list(alone) == [TAPS[1]]
    assert torch.equal(alone[TAPS[1]], first[TAPS[1]])


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 0.02), (torch.bfloat16, 0.1)])
def test_half_precision_stays_close_to_float32(tiny, dtype, bound):
    pixels = frames(2, 32, 32)
    exact, half = (find_video_swin(f"video-swin:t:{tiny[0]}").load(TAPS, d, CPU) for d in (torch.float32, dtype))
    with torch.inference_mode():
        exact, half = exact(pixels), half(pixels)
    for tap in TAPS:
        assert half[tap].dtype == dtype
        assert (half[tap].float() - exact[tap]).std() / exact[tap].std() < bound


@pytest.mark.parametrize("size", ["t", "s", "b"])
def test_sizes_are_torchvisions(size):
    layers = find_video_swin(f"video-swin:{size}").layers(TAPS, frames=4, height=64, width=96)
    found = stage_maps(empty_network(size, "any"), torch.empty(4, 3, 64, 96, device="meta"), TAPS)
    assert [tuple(found[layer.tap].shape) for layer in layers] == [layer.shape for layer in layers]


@pytest.mark.parametrize("size", ["t", "s", "b"])
def test_colours_and_names_of_files_are_those_of_the_published_weights(size):
    weights = getattr(video, f"Swin3D_{size.upper()}_Weights")
    for one in weights:
        preset = one.transforms()
        assert (tuple(preset.mean), tuple(preset.std), 1 / 255) == (COLOURS.mean, COLOURS.std, COLOURS.scale)
    name = weights.KINETICS400_V1.url.rpartition("/")[2]
    digits = name.removesuffix(".pth").rpartition("-")[2]
    assert len(digits) == 8 and int(digits, 16)


def test_a_file_of_weights_is_read(tiny):
    file, network = tiny
    with torch.inference_mode():
        found = find_video_swin(f"video-swin:t:{file}").load(TAPS, torch.float32, CPU)(frames(2, 32, 32))
    for tap, expected in zip(TAPS, theirs(network, frames(2, 32, 32).repeat(2, axis=0)), strict=True):
        assert torch.allclose(found[tap], expected, atol=1e-5)


def test_random_weights_come_from_their_seed():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    models = [find_video_swin(f"random-video-swin:t:{seed}") for seed in (1, 1, 2)]
    with torch.inference_mode():
        one, again, two = (m.load(TAPS[:1], torch.float32, CPU)(frames(2, 32, 32))[TAPS[0]] for m in models)
    assert torch.equal(one, again)
    assert not torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)  # nobody else's draws are moved
    parts = [m.identity().parts["video-swin"] for m in (*models, find_video_swin("random-video-swin:s:1"))]
    assert parts[0] == parts[1]
    assert len(set(parts)) == 3
    zero, default = (find_video_swin(f"random-video-swin:t{seed}").identity().parts for seed in (":0", ""))
    assert zero == default


class Attack:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, " does not hold the weights of torchvision's swin3d_t: Error(s) in loading state_dict"),
        ({"patch_embed.proj.weight": torch.zeros(1)}, " does not hold the weights of torchvision's swin3d_t: Error(s)"),
        ([1, 2], " does not hold the weights of torchvision's swin3d_t: Expected state_dict to be dict-like"),
        (b"", " does not hold the weights of torchvision's swin3d_t: EOFError"),
        (b"PK\3\4" + b"\0" * 99, " does not hold the weights of torchvision's swin3d_t: "),
        (b"\0" * 99, " is no plain file of weights, and what else is in it was not run"),
        (Attack(), " is no plain file of weights, and what else is in it was not run"),
    ],
)
def test_what_holds_no_weights_is_refused_and_not_run(tmp_path, capsys, content, message):
    file = tmp_path / "other.pth"
    file.write_bytes(content) if isinstance(content, bytes) else torch.save(content, file)
    with pytest.raises(ModelError) as caught:
        find_video_swin(f"video-swin:t:{file}").load(TAPS, torch.float32, CPU)
    told = str(caught.value)
    assert told.startswith(f"{file}{message}")
    assert told.endswith("; give a file as torchvision publishes it")
    assert "\n" not in told
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("size", ["s", "b"])
def test_weights_of_another_size_are_refused(tiny, size):
    """Those of t are a part of those of s, by name."""
    with pytest.raises(ModelError, match=rf"does not hold the weights of torchvision's swin3d_{size}: Error"):
        find_video_swin(f"video-swin:{size}:{tiny[0]}").load(TAPS, torch.float32, CPU)
