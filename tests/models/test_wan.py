"""Wan against diffusers' own pipelines, its experts, and its published sizes."""

import json
from dataclasses import replace

import diffusers
import pytest
import torch
from accelerate import init_empty_weights

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.backbone import load_backbone
from vdprobe.models.diffusion.family import family_of
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.models.diffusion.tokens import TextTokens
from vdprobe.models.networks.weights import randomise
from vdprobe.models.registry import find_model
from vdprobe.models.transformer.denoiser import TransformerDenoiser, make_network, token_maps
from vdprobe.models.transformer.shapes import tap_shapes
from vdprobe.models.transformer.vae import TemporalVAE
from vdprobe.models.wan import clean_text
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import LatentSampling
from vdprobe.specs.noise_level import CLEAN
from vdprobe.specs.request import FeatureRequest
from vdprobe.specs.video import ClipSampling, Resize

CPU = torch.device("cpu")
TINY = "random:tiny-wan"
A14B = "random:tiny-wan2.2-a14b"
CLIP = Clip("video", tuple(range(5)))


def family(name=TINY):
    return family_of(find_pipeline(name))


def request(**changes):
    values = {
        "clips": ClipSampling(),
        "resize": Resize(multiple=16),
        "lighting": None,
        "taps": ("blocks.1", "vae.latents"),
        "conditions": ("vd-t",),
        "noises": ("gaussian",),
        "timesteps": ("s=0.3",),
        "latents": "mode",
        "seed": 0,
        "compute_dtype": "float32",
        "store_dtype": "float32",
    }
    return FeatureRequest(**values | changes)


def latents(wan, size=(3, 4, 6)):
    return torch.randn(wan.latent_channels, *size, generator=torch.manual_seed(0))


def whole(wan, part="transformer", dtype=torch.float32):
    """The network with all its weights."""
    network = make_network(wan).eval()
    randomise(network, wan.pipeline.seed(part), torch.float32, CPU)
    return network.to(dtype)


# Parity with the pipelines.


@pytest.mark.parametrize(
    "text", ["a red star", "", "  two\n\n  lines\tand   spaces ", "fish &amp;amp; chips", "x" * 600], ids=len
)
def test_texts_are_those_of_the_pipeline(text, monkeypatch):
    """To the bit, cleaned as there; its `ftfy` is left out, as it is where that is not installed."""
    module = diffusers.pipelines.wan.pipeline_wan
    monkeypatch.setattr(module, "is_ftfy_available", lambda: False)
    wan = family()
    reader = wan.load_text(torch.float32, CPU)
    pipe = diffusers.WanPipeline(
        tokenizer=reader.tokenizer, text_encoder=reader.model, vae=None, scheduler=None, transformer=None
    )
    with torch.inference_mode():
        ours = reader(text)
        theirs, _ = pipe.encode_prompt(text, do_classifier_free_guidance=False, max_sequence_length=512)
    assert torch.equal(ours.hidden, theirs[0])
    assert ours.mask is None
    assert ours.truncated == (len(text) > 511)
    assert clean_text(text) == module.prompt_clean(text)


def test_cleaned_texts_are_one_text():
    reader = family().load_text(torch.float32, CPU)
    with torch.inference_mode():
        assert torch.equal(reader("a  red\nstar ").hidden, reader("a red star").hidden)


@pytest.mark.parametrize("name", [TINY, "random:tiny-wan2.2-5b"])
def test_latents_are_those_of_the_pipeline(name):
    """To the bit: encoded, the mode taken, normalised, as video-to-video begins."""
    wan = family(name)
    side = wan.strides.place
    vae = TemporalVAE.load(wan, frame_as_latent=False, device=CPU)
    pixels = torch.rand(5, 3, 2 * side, 3 * side, generator=torch.manual_seed(0)) * 2 - 1
    theirs = diffusers.AutoencoderKLWan.from_config(wan.pipeline.config("vae")).eval()
    theirs.load_state_dict(vae.vae.state_dict(), strict=False)

    class Clean:
        def add_noise(self, latents, noise, timestep):
            return latents

    pipe = diffusers.WanVideoToVideoPipeline(
        tokenizer=None, text_encoder=None, transformer=None, vae=theirs, scheduler=None
    )
    pipe.scheduler = Clean()
    with torch.inference_mode():
        encoded = vae(pixels, posterior=True)
        ours = vae.latents(encoded, LatentSampling(kind="mode", seed=None), CLIP)
        expected = pipe.prepare_latents(
            pixels.transpose(0, 1)[None],
            num_channels_latents=wan.latent_channels,
            height=2 * side,
            width=3 * side,
            dtype=torch.float32,
            device=CPU,
        )
    assert torch.equal(ours, expected[0])
    assert torch.equal(encoded.taps["vae.latents"], expected[0].transpose(0, 1))


def test_a_timestep_for_all_is_that_of_every_token():
    """Wan 2.2 5B's pipeline gives each token a timestep; where they are all alike one says the same."""
    wan = family("random:tiny-wan2.2-5b")
    network, level = whole(wan), wan.pipeline.process().parse("s=0.3")
    text = wan.load_text(torch.float32, CPU)("a red star")
    given = wan.arguments(latents(wan)[None], level, (text,), {})
    assert given["timestep"].tolist() == [pytest.approx(300)]
    with torch.inference_mode():
        one = network(**given)[0]
        every = network(**given | {"timestep": given["timestep"][:, None].expand(-1, 3 * 2 * 3)})[0]
    torch.testing.assert_close(one, every, rtol=1e-4, atol=1e-5)


def test_bfloat16_keeps_in_float32_what_diffusers_keeps(tmp_path):
    """Weights, position tables and values are those of `from_pretrained` in bfloat16."""
    wan = family()
    whole(wan).save_pretrained(tmp_path)
    theirs = diffusers.WanTransformer3DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16).eval()
    ours = TransformerDenoiser.load(wan, ("blocks.1",), {}, torch.bfloat16, CPU)
    present = [n for n, p in ours.network.named_parameters() if p.device.type != "meta"]
    expected = dict(theirs.named_parameters())
    kept = {name for name in present if ours.network.get_parameter(name).dtype == torch.float32}
    assert 0 < len(kept) < len(present) < len(expected)
    for name in present:
        assert ours.network.get_parameter(name).dtype == expected[name].dtype, name
        assert torch.equal(ours.network.get_parameter(name), expected[name]), name
    for name, table in theirs.rope.named_buffers():
        assert torch.equal(ours.network.rope.get_buffer(name), table)
    text = wan.load_text(torch.bfloat16, CPU)("a red star")
    level, noisy = wan.pipeline.process().parse("s=0.3"), latents(wan).bfloat16()
    caught = {}
    theirs.blocks[1].register_forward_hook(lambda _m, _i, out: caught.update(out=out))
    with torch.inference_mode():
        value = ours(noisy, level, [text])["blocks.1"]
        theirs(**wan.arguments(noisy[None], level, (text,), {}))
    assert value.dtype == torch.bfloat16
    assert torch.equal(value, token_maps(wan, "blocks.1", caught["out"], (3, 2, 3)))


def test_positions_are_right_though_no_file_holds_them():
    """They are lost where a network is made on the meta device whole."""
    wan = family()
    ours = TransformerDenoiser.load(wan, ("blocks.0",), {}, torch.float32, CPU).network.rope
    for name, table in make_network(wan).rope.named_buffers():
        assert ours.get_buffer(name).std() > 0.1
        assert torch.equal(ours.get_buffer(name), table)


# Two experts.


def experts(**changes):
    model = find_model(A14B)
    specs = model.specs(request(**changes))
    return model, next(spec for spec in specs if spec.condition is not None)


def test_only_the_expert_of_the_level_is_loaded():
    wan = family(A14B)
    text = wan.load_text(torch.float32, CPU)("a red star")
    backbone = load_backbone(wan, ("blocks.1",), (), (), "float32", "cpu", {})
    process, noisy = backbone.process, latents(wan)
    both = {}
    assert backbone.denoiser.loaded == {}
    for level, part in ((CLEAN, "transformer_2"), ("s=0.8749", "transformer_2"), ("s=0.875", "transformer")):
        with torch.inference_mode():
            both[level] = backbone.features(noisy, process.parse(level), [text])["blocks.1"]
        assert list(backbone.denoiser.loaded)[-1] == part
    for level, value in both.items():
        alone = load_backbone(wan, ("blocks.1",), (), (), "float32", "cpu", {})
        caught = {}
        network = whole(wan, wan.denoiser_at(process.parse(level)))
        network.blocks[1].register_forward_hook(lambda _m, _i, out, into=caught: into.update(out=out))
        with torch.inference_mode():
            assert torch.equal(value, alone.features(noisy, process.parse(level), [text])["blocks.1"])
            network(**wan.arguments(noisy[None], process.parse(level), (text,), {}))
        assert torch.equal(value, token_maps(wan, "blocks.1", caught["out"], (3, 2, 3)))
        assert len(alone.denoiser.loaded) == 1
    assert not torch.equal(both["s=0.8749"], both["s=0.875"])


def test_the_key_names_the_experts_and_where_they_part():
    parts = {}
    for name, levels in (("low", ("s=0.3",)), ("high", ("s=0.9",)), ("both", ("s=0.3", "s=0.9"))):
        _, spec = experts(timesteps=levels)
        parts[name] = {part for part in spec.model.parts if part.startswith("transformer")}
        assert spec.settings["boundary_ratio"] == 0.875
    assert parts == {"low": {"transformer_2"}, "high": {"transformer"}, "both": {"transformer", "transformer_2"}}
    latents_specs = {find_model(A14B).specs(request(timesteps=(level,)))[0].key for level in ("s=0.3", "s=0.9")}
    assert len(latents_specs) == 1


def published(folder, index, parts=("transformer", "transformer_2")):
    """A pipeline's folder with the configurations alone."""
    wan = find_pipeline(A14B)
    for part in (*parts, "vae", "scheduler"):
        (folder / part).mkdir(parents=True)
        file = "scheduler_config.json" if part == "scheduler" else "config.json"
        (folder / part / file).write_text(json.dumps(wan.config(part)))
    if index is not None:
        (folder / "model_index.json").write_text(json.dumps(index))
    return str(folder)


def test_the_boundary_is_the_pipelines_own(tmp_path):
    wan = family(published(tmp_path / "a", {"_class_name": "WanPipeline", "boundary_ratio": 0.9}))
    level = wan.pipeline.process().parse
    assert (wan.boundary, wan.denoiser_at(level("s=0.89")), wan.denoiser_at(level("s=0.9"))) == (
        0.9,
        "transformer_2",
        "transformer",
    )
    assert family(published(tmp_path / "b", {"boundary_ratio": None}, ("transformer",))).boundary is None
    lower = family(published(tmp_path / "c", {"boundary_ratio": 0.9}, ("transformer_2",)))
    assert lower.parts_at(None, ()) == ("vae",)
    assert lower.pipeline.denoiser == "transformer_2"


@pytest.mark.parametrize("index", [None, {}, {"boundary_ratio": None}, {"boundary_ratio": 2}, {"boundary_ratio": "x"}])
def test_two_transformers_without_a_boundary_are_refused(index, tmp_path):
    wan = family(published(tmp_path, index))
    with pytest.raises(ModelError, match=r"has two transformers, and its model_index.json tells boundary_ratio .*down"):
        wan.settings(request())


def test_both_networks_of_a_random_unet_are_random(tmp_path):
    folder = published(tmp_path, {"boundary_ratio": 0.9})
    random = find_pipeline(f"random-unet:{folder}:3").random
    assert random.parts == ("transformer", "transformer_2")


# Published sizes, without values.


@pytest.mark.parametrize(
    ("name", "billions", "clip", "shape", "strides"),
    [
        ("wan-1.3b", 1.419, (81, 480, 832), (21, 1536, 30, 52), (4, 16)),
        ("wan-14b", 14.288, (81, 480, 832), (21, 5120, 30, 52), (4, 16)),
        ("wan2.2-5b", 5.000, (121, 704, 1280), (31, 3072, 22, 40), (4, 32)),
        ("wan2.2-a14b", 14.288, (81, 480, 832), (21, 5120, 30, 52), (4, 16)),
    ],
)
def test_published_sizes(name, billions, clip, shape, strides):
    wan = family(f"random:{name}")
    with init_empty_weights():
        network = make_network(wan)
        vae = diffusers.AutoencoderKLWan.from_config(wan.pipeline.config("vae"))
    assert sum(p.numel() for p in network.parameters()) / 1e9 == pytest.approx(billions, abs=5e-4)
    assert vae.config.z_dim == wan.latent_channels
    assert (wan.strides.group, wan.strides.place) == strides
    (middle,) = wan.expand_taps(None)
    frames, height, width = clip
    assert tap_shapes(wan, (middle, "vae.latents"), frames=frames, height=height, width=width) == {
        middle: shape,
        "vae.latents": (shape[0], wan.latent_channels, shape[2] * 2, shape[3] * 2),
    }


def test_a_text_of_another_length_is_no_text_of_wan():
    """A reader that pads less than the transformer was trained with would give other features."""
    wan = family()
    text = wan.load_text(torch.float32, CPU)("a red star")
    assert text.hidden.shape == (512, 16)
    assert (text.hidden[text.count :] == 0).all()
    short = replace(text, hidden=text.hidden[: text.count])
    assert isinstance(short, TextTokens)
    backbone = load_backbone(wan, ("blocks.1",), (), (), "float32", "cpu", {})
    level = backbone.process.parse("s=0.3")
    with torch.inference_mode():
        one, two = (backbone.features(latents(wan), level, [t])["blocks.1"] for t in (text, short))
    assert not torch.allclose(one, two, atol=1e-3)
