"""CogVideoX against the pipeline of diffusers, on tiny random networks, and the sizes that are published."""

import inspect
import json

import diffusers
import pytest
import torch
import transformers
from diffusers.models.embeddings import apply_rotary_emb
from family_request import family_request

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.cogvideox import DEFAULTS, VAE_CHUNK, VAE_DEFAULTS
from vdprobe.models.diffusion.backbone import load_backbone
from vdprobe.models.families import architecture
from vdprobe.models.networks.tapped import load_onto_meta
from vdprobe.models.networks.weights import randomise
from vdprobe.models.registry import find_model
from vdprobe.models.transformer.denoiser import make_network, token_spans
from vdprobe.models.transformer.vae import TemporalVAE
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import LatentSampling
from vdprobe.specs.spans import frame_spans, group_spans

CPU = torch.device("cpu")
TINY = ("tiny-cogvideox", "tiny-cogvideox-5b", "tiny-cogvideox-1.5-5b")
TEXTS = ("", "a red star moves left", "word " * 120)


def family_of(name):
    return find_model(f"random:{name}").family


def request(**changes):
    return family_request(64, **{"noises": ("none",), "timesteps": (0,)} | changes)


def whole_network(family):
    network = load_onto_meta(lambda: make_network(family))
    randomise(network, 0, torch.float32, CPU)
    return network


def vae_of(family, **settings):
    return TemporalVAE.load(family, {**family.defaults, **settings}, CPU)


def pipeline_of(family, kind=diffusers.CogVideoXPipeline, **parts):
    scheduler = diffusers.CogVideoXDDIMScheduler.from_config(family.pipeline.config("scheduler"))
    empty = dict.fromkeys(("tokenizer", "text_encoder", "vae"))
    return kind(**empty | {"transformer": whole_network(family), "scheduler": scheduler} | parts)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_those_of_the_pipeline(text):
    family = family_of("tiny-cogvideox")
    reader = family.load_text(torch.float32, CPU)
    pipeline = pipeline_of(family, tokenizer=reader.tokenizer, text_encoder=reader.model)
    with torch.inference_mode():
        expected, _ = pipeline.encode_prompt(text, do_classifier_free_guidance=False)
        found = reader(text)
    assert torch.equal(found.hidden, expected[0])
    assert found.hidden.shape == (226, 16)
    assert found.mask is None
    assert found.truncated == (len(text) + 1 > 226)


@pytest.mark.parametrize("name", ["tiny-cogvideox", "tiny-cogvideox-5b"])
def test_latents_are_those_of_the_pipeline(name, monkeypatch):
    """Of the video-to-video pipeline, whose draw from the posterior is its mean here, and which adds no noise."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    family = family_of(name)
    vae = vae_of(family)
    pipeline = pipeline_of(family, diffusers.CogVideoXVideoToVideoPipeline, vae=vae.vae)
    frames = torch.rand(17, 3, 32, 48, generator=torch.manual_seed(0)) * 2 - 1
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    monkeypatch.setattr(pipeline.scheduler, "add_noise", lambda latents, noise, timestep: latents)
    with torch.inference_mode():
        expected = pipeline.prepare_latents(
            frames.transpose(0, 1)[None], height=32, width=48, dtype=torch.float32, device=CPU
        )
        encoded = vae(frames, posterior=True)
        found = vae.latents(encoded, LatentSampling(kind="mode", seed=None), Clip("video", tuple(range(17))))
    assert torch.equal(found.transpose(0, 1), expected[0])
    assert torch.equal(encoded.taps["vae.latents"], expected[0])
    assert found.shape == (16, 5, 4, 6)


@pytest.mark.parametrize("name", ["tiny-cogvideox-5b", "tiny-cogvideox-1.5-5b"])
@pytest.mark.parametrize(("frames", "height", "width"), [(9, 32, 48), (13, 64, 48), (17, 48, 160)])
def test_positions_are_those_of_the_pipeline(name, frames, height, width):
    """`frames` of the clip: 3 and 5 latent frames fill no whole tokens of 1.5."""
    family = family_of(name)
    pipeline = pipeline_of(family)
    latents = torch.zeros(1, 16, len(group_spans(frames, 4)), height // 8, width // 8)
    text = family.load_text(torch.float32, CPU)(TEXTS[1])
    level = family.pipeline.process().level(50)
    found = family.arguments(latents, level, (text,), family.defaults)
    missing = latents.shape[2] % 2 if "1.5" in name else 0
    expected = pipeline._prepare_rotary_positional_embeddings(height, width, latents.shape[2] + missing, CPU)
    assert all(torch.equal(one, two) for one, two in zip(found["image_rotary_emb"], expected, strict=True))
    assert found["hidden_states"].shape[:3] == (1, latents.shape[2] + missing, 16)
    assert found["timestep"].tolist() == [50]
    assert found["timestep"].dtype == torch.int64


def test_incomplete_tokens_are_filled_at_the_front():
    family = family_of("tiny-cogvideox-1.5-5b")
    latents = torch.randn(2, 16, 3, 4, 6, generator=torch.manual_seed(0))
    text = family.load_text(torch.float32, CPU)(TEXTS[1])
    found = family.arguments(latents, family.pipeline.process().level(0), (text,) * 2, family.defaults)
    filled = found["hidden_states"]
    assert torch.equal(filled[:, 1:], latents.transpose(1, 2))
    assert torch.equal(filled[:, 0], latents[:, :, 0])
    assert torch.equal(family.output(filled, latents.shape[1:]), latents)
    assert token_spans(family, group_spans(9, 4)) == ((0, 1), (1, 9))
    assert token_spans(family, group_spans(13, 4)) == ((0, 5), (5, 13))
    assert token_spans(family, frame_spans(3)) == ((0, 1), (1, 3))
    assert token_spans(family_of("tiny-cogvideox"), group_spans(9, 4)) == group_spans(9, 4)


@pytest.mark.parametrize("name", TINY)
def test_queries_and_keys_are_normed_and_turned_and_without_the_text(name):
    family = family_of(name)
    taps = ("blocks.2.q", "blocks.2.k", "blocks.2.k.1")
    backbone = load_backbone(family, taps, (), (), "float32", "cpu", family.settings(request()))
    text = family.load_text(torch.float32, CPU)(TEXTS[1])
    latents = torch.randn(16, 4, 4, 6, generator=torch.manual_seed(0))
    level = backbone.process.level(100)
    arguments = family.arguments(latents[None], level, (text,), family.defaults)
    network, normed = whole_network(family), {}
    attention = network.transformer_blocks[2].attn1
    for kind, norm in (("q", attention.norm_q), ("k", attention.norm_k)):
        norm.register_forward_hook(lambda _m, _i, out, kind=kind: normed.__setitem__(kind, out[:, :, 226:].clone()))
    with torch.inference_mode():
        found = backbone.features(latents, level, [text])
        network(**arguments)
    grid = (2 if "1.5" in name else 4, 2, 3)
    for kind in ("q", "k"):
        rotary = arguments["image_rotary_emb"]
        turned = normed[kind] if rotary is None else apply_rotary_emb(normed[kind], rotary)
        heads = turned[0].unflatten(1, grid)  # heads, frames, rows, columns, channels
        expected = heads.permute(1, 0, 4, 2, 3).flatten(1, 2)
        assert torch.equal(found[f"blocks.2.{kind}"][0], expected)
        if kind == "k":
            assert torch.equal(found["blocks.2.k.1"][0], expected[:, 16:])


def test_a_latent_frame_has_seen_its_chunk():
    """Those of the first 9 frames see all of these, also later ones, and nothing of the next 8."""
    frames = torch.rand(17, 3, 16, 16, generator=torch.manual_seed(0)) * 2 - 1
    family = family_of("tiny-cogvideox")
    with torch.inference_mode():
        vae = vae_of(family)
        before = vae(frames, posterior=False).taps["vae.latents"]
        for frame, first in ((0, 0), (8, 0), (9, 3), (16, 3)):
            changed = frames.clone()
            changed[frame] += 0.5
            after = vae(changed, posterior=False).taps["vae.latents"]
            moved = [i for i in range(5) if not torch.equal(before[i], after[i])]
            assert min(moved) == first
        longer = vae_of(family, **{VAE_CHUNK: 4})(frames, posterior=False).taps["vae.latents"]
    assert not torch.allclose(before, longer, rtol=1e-3)
    assert not family.causal


@pytest.mark.parametrize(
    ("name", "parameters", "frames", "height", "width", "shape"),
    [
        ("cogvideox-2b", 1.694, 49, 480, 720, (13, 1920, 30, 45)),
        ("cogvideox-5b", 5.570, 49, 480, 720, (13, 3072, 30, 45)),
        ("cogvideox-1.5-5b", 5.571, 81, 768, 1360, (11, 3072, 48, 85)),
    ],
)
def test_published_sizes(name, parameters, frames, height, width, shape):
    family = family_of(name)
    with torch.device("meta"):
        network = make_network(family)
    assert sum(p.numel() for p in network.parameters()) / 1e9 == pytest.approx(parameters, abs=5e-4)
    assert family.expand_taps(None) == ("blocks.17",)
    taps = family.expand_taps(("default", "difftrack"))
    assert taps == ("blocks.17", "blocks.17.q", "blocks.17.k")
    assert set(family.shapes(taps, frames=frames, height=height, width=width).values()) == {shape}
    assert family.text_shape() == (226, 4096)
    level = family.pipeline.process().level(999)
    assert (level.signal, level.amount) == (0.0, 1.0)


def test_noise_levels_are_those_of_the_schedulers():
    for name in ("cogvideox-2b", "cogvideox-5b"):
        family = family_of(name)
        scheduler = diffusers.CogVideoXDDIMScheduler.from_config(family.pipeline.config("scheduler"))
        for t in (0, 50, 100, 249, 500, 998, 999):
            signal = family.pipeline.process().level(t).signal
            assert signal == pytest.approx(float(scheduler.alphas_cumprod[t]) ** 0.5, abs=2e-6)


def test_what_a_configuration_leaves_out_is_diffusers_default():
    for kind, defaults in (
        (diffusers.CogVideoXTransformer3DModel, DEFAULTS),
        (diffusers.AutoencoderKLCogVideoX, VAE_DEFAULTS),
    ):
        known = inspect.signature(kind.__init__).parameters
        assert {name: known[name].default for name in defaults} == defaults


def save_pipeline(root, name="tiny-cogvideox", left_out=(), **transformer):
    """A folder as it is published."""
    parts = architecture(name)
    network = whole_network(family_of(name))
    network.save_pretrained(root / "transformer")
    vae = diffusers.AutoencoderKLCogVideoX.from_config(parts["vae"])
    vae.save_pretrained(root / "vae")
    transformers.T5EncoderModel(transformers.T5Config(**parts["text_encoder"])).save_pretrained(root / "text_encoder")
    transformers.ByT5Tokenizer().save_pretrained(root / "tokenizer")
    diffusers.CogVideoXDDIMScheduler.from_config(parts["scheduler"]).save_pretrained(root / "scheduler")
    path = root / "transformer" / "config.json"
    config = {key: value for key, value in json.loads(path.read_text()).items() if key not in left_out}
    path.write_text(json.dumps(config | transformer))
    return network, vae


def test_a_folder_is_read_also_where_its_configuration_is_old(tmp_path):
    network, vae = save_pipeline(tmp_path, left_out=("patch_size_t", "ofs_embed_dim", "patch_bias"))
    family = find_model(str(tmp_path)).family
    condition = family.resolve_condition("vd-t", {})
    backbone = load_backbone(family, ("blocks.1",), (condition,), (), "float32", "cpu", family.settings(request()))
    frames = torch.rand(5, 3, 32, 48, generator=torch.manual_seed(0)) * 2 - 1
    latents = torch.randn(16, 3, 4, 6, generator=torch.manual_seed(1))
    level = backbone.process.level(50)
    with torch.inference_mode():
        mean = vae.encode(frames.transpose(0, 1)[None]).latent_dist.mean[0].transpose(0, 1)
        assert torch.equal(backbone.video(frames, posterior=True).mean, mean)
        text = backbone.text(TEXTS[1])
        found = backbone.features(latents, level, [text])["blocks.1"]
        caught = []
        network.transformer_blocks[1].register_forward_hook(lambda _m, _i, out: caught.append(out[0]))
        network(**family.arguments(latents[None], level, (text,), family.defaults))
    own = dict(backbone.denoiser.network.named_parameters())
    read = {name for name, value in own.items() if value.device.type != "meta"}
    assert all(torch.equal(value, own[name]) for name, value in network.named_parameters() if name in read)
    assert not any(name.startswith(("transformer_blocks.2", "norm_out", "proj_out")) for name in read)
    # Weights that are read lie at other addresses than those drawn, which the order of sums depends on.
    torch.testing.assert_close(found[0].permute(0, 2, 3, 1).flatten(0, 2), caught[0][0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("changes", [{"ofs_embed_dim": 512}, {"in_channels": 32}])
def test_checkpoints_that_animate_an_image_are_refused(tmp_path, changes):
    save_pipeline(tmp_path, **changes)
    with pytest.raises(ModelError, match=r"animates an image.*take the text-to-video checkpoint"):
        find_model(str(tmp_path))


@pytest.mark.parametrize("changes", [{"num_layers": "x"}, {"patch_size_t": 0}, {"sample_height": None}])
def test_sizes_that_are_none_are_named(tmp_path, changes):
    save_pipeline(tmp_path, **changes)
    (name,) = changes
    with pytest.raises(ModelError, match=f"{name} is .*, it must be a whole number above 0"):
        find_model(str(tmp_path)).family.shapes(("blocks.0",), frames=9, height=32, width=48)


def test_learned_positions_are_of_one_size(tmp_path):
    save_pipeline(tmp_path, use_rotary_positional_embeddings=True, use_learned_positional_embeddings=True)
    family = find_model(str(tmp_path)).family
    assert family.shapes(("blocks.0",), frames=9, height=32, width=48) == {"blocks.0": (3, 32, 2, 3)}
    for frames, height, width in ((13, 32, 48), (9, 64, 48)):
        with pytest.raises(ConfigError, match="learned positions, of clips of 9 frames of 32x48 pixels alone"):
            family.shapes(("blocks.0",), frames=frames, height=height, width=width)


def test_sinusoids_are_of_any_size():
    """2B adds positions that are computed, also beyond the size of its training."""
    shapes = family_of("tiny-cogvideox").shapes(("blocks.0",), frames=33, height=64, width=96)
    assert shapes == {"blocks.0": (9, 32, 4, 6)}


def test_frames_beyond_the_positions_of_the_second_version_are_refused():
    family = family_of("cogvideox-1.5-5b")
    with pytest.raises(ConfigError, match=r"up to 2400x2400 pixels, and these are of 768x2416: make them smaller"):
        family.shapes(("blocks.0",), frames=9, height=768, width=2416)


def test_a_scheduler_of_another_process_is_refused(tmp_path):
    save_pipeline(tmp_path)
    diffusers.FlowMatchEulerDiscreteScheduler().save_pretrained(tmp_path / "scheduler")
    with pytest.raises(ModelError, match="take the scheduler that the checkpoint was published with"):
        find_model(str(tmp_path))


@pytest.mark.parametrize("value", [0, -1])
def test_a_chunk_has_a_frame(value):
    with pytest.raises(ConfigError, match=f"settings.vae_chunk \\(={value}\\) must be 1 or more"):
        family_of("tiny-cogvideox").settings(request(settings={VAE_CHUNK: value}))


@pytest.mark.parametrize("kind", ["vd-i", "vd-it", "concat"])
def test_images_have_no_meaning_as_conditions(kind):
    with pytest.raises(ModelError, match="take vd-t"):
        family_of("tiny-cogvideox").resolve_condition(kind, {})
