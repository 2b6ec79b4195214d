"""Cosmos-Predict2 against the pipeline of diffusers, on a tiny random network, and the sizes that are published."""

import inspect
from types import SimpleNamespace

import diffusers
import diffusers.models.transformers.transformer_cosmos as cosmos_module
import pytest
import torch
from diffusers import Cosmos2VideoToWorldPipeline
from family_request import family_request

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.cosmos import DEFAULTS, VAE_DEFAULTS, CosmosPredict2
from vdprobe.models.diffusion.backbone import load_backbone
from vdprobe.models.diffusion.noise import add_noise
from vdprobe.models.families import ARCHITECTURES, load_object
from vdprobe.models.networks.tapped import load_onto_meta
from vdprobe.models.networks.weights import randomise
from vdprobe.models.registry import find_model
from vdprobe.models.transformer.denoiser import make_network
from vdprobe.models.transformer.vae import TemporalVAE

CPU = torch.device("cpu")
TEXTS = ("", "a red star moves left", "word " * 120)


@pytest.fixture(scope="module")
def family():
    return find_model("random:tiny-cosmos-predict2").family


def request(**settings):
    return family_request(64, noises=("none",), settings=settings)


def changed(monkeypatch, part, **changes):
    """Finds the tiny model with another configuration of a part."""
    parts = load_object(ARCHITECTURES["tiny-cosmos-predict2"])
    monkeypatch.setitem(parts, part, parts[part] | changes)
    return find_model("random:tiny-cosmos-predict2").family


def some_latents(seed=0):
    return torch.randn(16, 3, 4, 6, generator=torch.manual_seed(seed))


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_those_of_the_pipeline(family, text):
    """Without the object of the pipeline, which needs NVIDIA's guard models."""
    reader = family.load_text(torch.float32, CPU)
    stand_in = SimpleNamespace(tokenizer=reader.tokenizer, text_encoder=reader.model)
    with torch.inference_mode():
        expected = Cosmos2VideoToWorldPipeline._get_t5_prompt_embeds(stand_in, text, device=CPU)
        found = reader(text)
    assert torch.equal(found.hidden, expected[0])
    assert found.hidden.shape == (512, 16)
    assert found.mask is None
    assert found.truncated == (len(text) + 1 > 512)


def test_latents_are_those_of_the_pipeline(family, monkeypatch):
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    vae = TemporalVAE.load(family, {}, CPU)
    stand_in = SimpleNamespace(
        vae=vae.vae,
        vae_scale_factor_temporal=2 ** sum(vae.vae.temperal_downsample),
        vae_scale_factor_spatial=2 ** len(vae.vae.temperal_downsample),
        scheduler=SimpleNamespace(config=SimpleNamespace(sigma_data=1.0, sigma_max=80.0)),
    )
    frames = torch.rand(9, 3, 32, 48, generator=torch.manual_seed(0)) * 2 - 1
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    with torch.inference_mode():
        _, expected, *_ = Cosmos2VideoToWorldPipeline.prepare_latents(
            stand_in, frames.transpose(0, 1)[None], 1, 16, 32, 48, num_frames=9, dtype=torch.float32, device=CPU
        )
        found = vae(frames, posterior=True).taps["vae.latents"]
    assert torch.equal(found.transpose(0, 1), expected[0])
    strides = family.strides
    assert (strides.group, strides.side) == (stand_in.vae_scale_factor_temporal, stand_in.vae_scale_factor_spatial)


def test_a_forward_is_that_of_the_pipeline(family, monkeypatch):
    """Noisy latents and time in its terms, and diffusers' own channel for padding, made without torchvision here."""

    def resize(mask, size, interpolation):
        return torch.nn.functional.interpolate(mask, size, mode=interpolation)

    transforms = SimpleNamespace(
        functional=SimpleNamespace(resize=resize), InterpolationMode=SimpleNamespace(NEAREST="nearest")
    )
    monkeypatch.setattr(cosmos_module, "transforms", transforms, raising=False)
    theirs, ours = (
        load_onto_meta(make)
        for make in (
            lambda: diffusers.CosmosTransformer3DModel.from_config(family.config),
            lambda: make_network(family),
        )
    )
    for network in (theirs, ours):
        randomise(network, 0, torch.float32, CPU)
    text = family.load_text(torch.float32, CPU)(TEXTS[1])
    data, noise, sigma = some_latents(0)[None], some_latents(1)[None], 0.5
    level = family.pipeline.process().parse(f"sigma={sigma}")
    noisy = add_noise(data[0], noise[0], level)[None]
    time = sigma / (sigma + 1)
    torch.testing.assert_close(noisy, (data + sigma * noise) * (1 - time))
    arguments = family.arguments(noisy, level, (text,), family.defaults)
    torch.testing.assert_close(arguments["timestep"], torch.full((1, 1, 3, 1, 1), time))
    with torch.inference_mode():
        expected = theirs(
            hidden_states=noisy,
            timestep=arguments["timestep"],
            encoder_hidden_states=text.hidden[None],
            fps=16,
            condition_mask=torch.zeros(1, 1, 3, 4, 6),
            padding_mask=torch.zeros(1, 1, 32, 48),
            return_dict=False,
        )[0]
        found = ours(**arguments)[0]
    assert torch.equal(found, expected)


def test_what_the_network_gives_is_the_velocity(family):
    """The pipeline: denoised = (1 - t) (x0 + sigma n) - t output."""
    data, noise, sigma = some_latents(0), some_latents(1), 2.0
    time = sigma / (sigma + 1)
    velocity = family.output((noise - data)[None], data.shape)[0]
    torch.testing.assert_close((1 - time) * (data + sigma * noise) - time * velocity, data, rtol=1e-4, atol=1e-5)


def test_frames_a_second_count(family):
    text = family.load_text(torch.float32, CPU)(TEXTS[1])
    found = []
    for fps in (16, 16.0, 24.0):
        settings = family.settings(request(fps=fps))
        backbone = load_backbone(family, ("blocks.1",), (), (), "float32", "cpu", settings)
        with torch.inference_mode():
            found.append(backbone.features(some_latents(), backbone.process.parse("s=0.3"), [text])["blocks.1"])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    for value in (0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="must be a number above 0"):
            family.settings(request(fps=value))


@pytest.mark.parametrize(
    ("name", "parameters", "width", "blocks"),
    [("cosmos-predict2-2b", 1.956, 2048, 28), ("cosmos-predict2-14b", 14.25, 5120, 36)],
)
def test_published_sizes(name, parameters, width, blocks):
    family = find_model(f"random:{name}").family
    with torch.device("meta"):
        network = make_network(family)
    assert sum(p.numel() for p in network.parameters()) / 1e9 == pytest.approx(parameters, rel=2e-3)
    taps = family.expand_taps(("default", "heft"))
    assert taps == ("blocks.18", "blocks.18.q", "blocks.18.k")
    assert set(family.shapes(taps, frames=93, height=704, width=1280).values()) == {(24, width, 44, 80)}
    assert (family.text_shape(), family.blocks.count) == ((512, 1024), blocks)


def test_what_a_configuration_leaves_out_is_diffusers_default():
    for kind, defaults in ((diffusers.CosmosTransformer3DModel, DEFAULTS), (diffusers.AutoencoderKLWan, VAE_DEFAULTS)):
        known = inspect.signature(kind.__init__).parameters
        assert {name: known[name].default for name in defaults} == defaults


@pytest.mark.parametrize(
    ("part", "changes", "reason"),
    [
        ("vae", {"_class_name": "AutoencoderKLCosmos"}, "latents are those of AutoencoderKLCosmos, as in Cosmos 1"),
        ("transformer", {"use_crossattn_projection": True}, "read by a language model"),
        ("transformer", {"in_channels": 16}, "in_channels are 16 for latents of 16, as for single images"),
        ("scheduler", {"invert_sigmas": True}, "follows no flow"),
    ],
)
def test_other_cosmos_are_refused(monkeypatch, part, changes, reason):
    with pytest.raises(ModelError, match=f"no Cosmos-Predict2 Video2World.*{reason}.*take nvidia/"):
        changed(monkeypatch, part, **changes)


def test_frames_beyond_the_positions_are_refused(family):
    assert isinstance(family, CosmosPredict2)
    with pytest.raises(ConfigError, match="up to 1920 pixels a side, and these are of 64x1936: make them smaller"):
        family.shapes(("blocks.0",), frames=5, height=64, width=1936)
