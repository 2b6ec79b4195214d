import copy

import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

from vdprobe.models.diffusion.decoder import VideoDecoder
from vdprobe.models.diffusion.frame_vae import VideoEncoder, load_vae
from vdprobe.models.networks.group_norm import GroupNorm, channel_moments
from vdprobe.training.small_head import SmallHead

TAP = "vae.encoder.down_blocks.2.resnets.1"
HEIGHT, WIDTH = 96, 160
BAR = 1e-5
"""The largest error, relative to the largest value."""


def wide_vae():
    torch.manual_seed(1)
    kinds = [f"{kind}Block2D" for kind in ("DownEncoder", "UpDecoder")]
    down, up = ((kind,) * 4 for kind in kinds)
    vae = AutoencoderKL(
        down_block_types=down, up_block_types=up, block_out_channels=(64, 64, 128, 128), layers_per_block=2
    )
    return vae.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def vaes():
    from vdprobe.models.diffusion.pipeline import find_pipeline

    # In the tiny one a group is a single channel, which on a flat frame varies at the borders alone.
    tiny = load_vae(find_pipeline("random:tiny"), torch.float32, torch.device("cpu"))
    return {"wide": wide_vae(), "tiny": tiny}


def colour(*values):
    return torch.tensor(values).view(1, 3, 1, 1).expand(1, 3, HEIGHT, WIDTH)


def frames_of(kind):
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(1, 3, 6, 10, generator=generator) * 2 - 1
    picture = nn.functional.interpolate(rough, (HEIGHT, WIDTH), mode="bicubic").clamp(-1, 1)
    if kind == "padded":
        picture[:, :, 80:], picture[..., 150:] = -0.03, -0.03
    if kind == "dark":
        picture = -1 + torch.randint(0, 3, (1, 3, HEIGHT, WIDTH), generator=generator) / 127.5
    if kind == "noise":
        picture = torch.rand(1, 3, HEIGHT, WIDTH, generator=generator) * 2 - 1
    flat = {"grey": (0.2,) * 3, "black": (-1.0,) * 3, "white": (1.0,) * 3, "orange": (0.9, -0.4, 0.1)}
    return colour(*flat[kind]) if kind in flat else picture


@pytest.mark.parametrize("which", ["wide", "tiny"])
@pytest.mark.parametrize("kind", ["grey", "black", "white", "orange", "dark", "padded", "smooth", "noise"])
def test_encoded_frames_are_those_of_float64(which, kind, vaes):
    pixels = frames_of(kind)
    found = VideoEncoder(copy.deepcopy(vaes[which]), [TAP])(pixels, posterior=True)
    expected = VideoEncoder(copy.deepcopy(vaes[which]).double(), [TAP])(pixels.double(), posterior=True)
    assert expected.mean.dtype == torch.float64
    for ours, truth in ((found.taps[TAP], expected.taps[TAP]), (found.mean, expected.mean)):
        assert (ours - truth).abs().max() <= BAR * truth.abs().max()


@pytest.mark.parametrize("which", ["wide", "tiny"])
def test_decoded_frames_are_those_of_float64(which, vaes):
    latents = torch.full((1, 4, 8, 12), 0.7)
    scaled = latents.to(memory_format=torch.channels_last)
    found = VideoDecoder(copy.deepcopy(vaes[which]))._decode(scaled)
    expected = VideoDecoder(copy.deepcopy(vaes[which]).double())._decode(scaled.double())
    assert (found - expected).abs().max() <= BAR * expected.abs().max()


LAYOUTS = {
    "contiguous": lambda x: x.contiguous(),
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "every second column": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "height last": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 64, 45, 80), (1, 32, 300, 200), (3, 64, 1, 1), (1, 32, 1, 1)])
@pytest.mark.parametrize("mean", [0.0, 10.0, 100.0])
def test_every_layout_is_exact_whatever_the_mean(layout, shape, mean):
    torch.manual_seed(0)
    norm = GroupNorm(32, shape[1]).requires_grad_(False)
    norm.weight.uniform_(-1, 1)
    norm.bias.uniform_(-1, 1)
    x = LAYOUTS[layout](torch.randn(shape) + mean)
    expected = torch.group_norm(x.double(), 32, norm.weight.double(), norm.bias.double())
    # The rounding of a mean is seen through the division by the deviation, which two values can make small.
    deviation = x.double().unflatten(1, (32, -1)).flatten(2).var(2, correction=0).add(1e-5).sqrt()
    assert (norm(x) - expected).abs().max() <= 2e-7 * (20 + x.abs().max() / deviation.min())
    if layout == "channels_last":
        assert norm(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(2, 64, 5, 6, 7), (2, 64, 9), (2, 64)])
def test_other_ranks_are_exact_too(shape):
    torch.manual_seed(0)
    x = torch.randn(shape) + 10
    if len(shape) == 5:
        x = x.to(memory_format=torch.channels_last_3d)
    expected = torch.group_norm(x.double(), 8)
    assert (GroupNorm(8, 64, affine=False)(x) - expected).abs().max() <= 1e-5


@pytest.mark.parametrize(("dtype", "step"), [(torch.float16, 2**-10), (torch.bfloat16, 2**-7)])
def test_half_precision_rounds_the_result_alone(dtype, step):
    torch.manual_seed(0)
    x = (torch.randn(1, 64, 45, 80) + 30).to(dtype).to(memory_format=torch.channels_last)
    norm = GroupNorm(32, 64, dtype=dtype).requires_grad_(False)
    expected = torch.group_norm(x.double(), 32)
    assert norm(x).dtype == dtype
    assert (norm(x).double() - expected).abs().max() <= step * expected.abs().max()


def test_moments_of_many_equal_values():
    # Added up one by one in float32, as many lose a thousandth of their sum.
    mean, variance = channel_moments(torch.full((500_000, 2), 0.7))
    assert (mean - 0.7).abs().max() < 3e-7
    assert variance.max() < 1e-12


def test_gradients_go_through_channels_last():
    torch.manual_seed(0)
    x = (torch.randn(2, 64, 9, 7) + 10).to(memory_format=torch.channels_last).requires_grad_()
    norm = GroupNorm(32, 64)
    (norm(x) ** 3).sum().backward()
    wide = x.detach().double().contiguous().requires_grad_()
    (torch.group_norm(wide, 32) ** 3).sum().backward()
    assert (x.grad - wide.grad).abs().max() < 1e-4
    assert norm.weight.grad is not None


def test_every_network_has_it(vaes):
    from vdprobe.models.diffusion.pipeline import find_pipeline
    from vdprobe.models.unet3d.load import load_unet

    networks = [
        VideoEncoder(copy.deepcopy(vaes["tiny"]), ()).vae,
        VideoDecoder(copy.deepcopy(vaes["tiny"])).vae,
        load_unet(find_pipeline("random:tiny"), ["unet.out"], torch.float32, torch.device("cpu")),
        SmallHead([32, 32, 32, 32], 16),
    ]
    for network in networks:
        kinds = {type(part) for part in network.modules() if isinstance(part, nn.GroupNorm)}
        assert kinds == {GroupNorm}
