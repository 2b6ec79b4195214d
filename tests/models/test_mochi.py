"""Mochi against the pipeline of diffusers, on a tiny random network, and the size that is published."""

import inspect
import warnings

import diffusers
import pytest
import torch
import transformers
from diffusers.models.transformers.transformer_mochi import MochiRoPE
from diffusers.pipelines.mochi.pipeline_mochi import linear_quadratic_schedule

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.backbone import load_backbone
from vdprobe.models.diffusion.inversion import split_prediction
from vdprobe.models.diffusion.noise import add_noise
from vdprobe.models.diffusion.tokens import TextTokens
from vdprobe.models.families import architecture
from vdprobe.models.mochi import DEFAULTS, VAE_DEFAULTS, rotary_positions
from vdprobe.models.networks.tapped import load_onto_meta, traced
from vdprobe.models.networks.weights import randomise
from vdprobe.models.registry import find_model
from vdprobe.models.transformer.denoiser import make_network
from vdprobe.models.transformer.vae import TemporalVAE

CPU = torch.device("cpu")
TEXTS = ("", "a red star moves left", "word " * 120)


@pytest.fixture(scope="module")
def family():
    return find_model("random:tiny-mochi").family


def whole_network(family):
    network = load_onto_meta(lambda: make_network(family))
    randomise(network, 0, torch.float32, CPU)
    return network


def some_latents(frames=3):
    return torch.randn(12, frames, 4, 6, generator=torch.manual_seed(0))


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_those_of_the_pipeline(family, text):
    reader = family.load_text(torch.float32, CPU)
    pipeline = diffusers.MochiPipeline(
        scheduler=None, vae=None, transformer=None, tokenizer=reader.tokenizer, text_encoder=reader.model
    )
    with torch.inference_mode():
        expected, mask, _, _ = pipeline.encode_prompt(text, do_classifier_free_guidance=False)
        found = reader(text)
    assert torch.equal(found.hidden, expected[0])
    assert torch.equal(found.mask, mask[0])
    assert found.hidden.shape == (256, 16)
    assert found.truncated == (len(text) + 1 > 256)


def test_latents_are_what_the_pipeline_undoes(family):
    """Mochi has no pipeline that encodes: its text-to-video pipeline decodes latents x std / scale + mean."""
    vae = TemporalVAE.load(family, {}, CPU)
    frames = torch.rand(13, 3, 16, 16, generator=torch.manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        encoded = vae(frames, posterior=True)
        expected = vae.vae.encode(frames.transpose(0, 1)[None]).latent_dist.mean
    assert torch.equal(encoded.mean.transpose(0, 1)[None], expected)
    mean, std = (
        torch.tensor(values).view(1, 12, 1, 1, 1)
        for values in (vae.vae.config.latents_mean, vae.vae.config.latents_std)
    )
    latents = encoded.taps["vae.latents"].transpose(0, 1)[None]
    torch.testing.assert_close(latents * std / vae.vae.config.scaling_factor + mean, expected, rtol=1e-5, atol=1e-6)
    assert latents.shape == (1, 12, 3, 2, 2)


def test_positions_are_those_of_diffusers_without_its_autocast(family):
    rope, frequencies = MochiRoPE(), torch.randn(3, 2, 4, generator=torch.manual_seed(0))
    places = rope._get_positions(3, 2, 3, CPU, torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: there is no autocast to float32 on a CPU
        expected = rope._create_rope(frequencies, places)
    assert all(torch.equal(one, two) for one, two in zip(rotary_positions(frequencies, places), expected, strict=True))


def test_queries_and_keys_are_the_videos_of_each_text(family):
    """The attention runs once for each text of a batch, with as many tokens as that text has."""
    reader = family.load_text(torch.float32, CPU)
    texts = [reader(text) for text in TEXTS]
    taps = ("blocks.2.q", "blocks.2.k.1", "blocks.2")
    backbone = load_backbone(family, taps, (), (), "float32", "cpu", family.defaults)
    level, caught = backbone.process.parse("s=0.3"), {}
    network = whole_network(family)
    attention = network.transformer_blocks[2].attn1
    for kind, norm in (("q", attention.norm_q), ("k", attention.norm_k)):
        norm.register_forward_hook(lambda _m, _i, out, kind=kind: caught.setdefault(kind, []).append(out))
    network.rope.register_forward_hook(lambda _m, _i, out: caught.__setitem__("rope", out))
    with torch.inference_mode():
        found = backbone.features(some_latents(), level, texts)
        for text in texts:
            network(**family.arguments(some_latents()[None], level, (text,), family.defaults))
    cosines, sines = caught["rope"]
    for row in range(len(texts)):
        for kind, tap, heads in (("q", "blocks.2.q", slice(0, 2)), ("k", "blocks.2.k.1", slice(1, 2))):
            even, odd = caught[kind][row][..., 0::2], caught[kind][row][..., 1::2]
            turned = torch.stack([even * cosines - odd * sines, even * sines + odd * cosines], -1).flatten(-2)
            expected = turned[0, :, heads].flatten(1).unflatten(0, (3, 2, 3)).permute(0, 3, 1, 2)
            assert torch.equal(found[tap][row], expected)
    assert not torch.equal(found["blocks.2"][0], found["blocks.2"][1])


def test_padding_is_not_looked_at(family):
    text = family.load_text(torch.float32, CPU)(TEXTS[1])
    hidden = text.hidden.clone()
    hidden[text.count :] = 100.0
    backbone = load_backbone(family, ("blocks.2",), (), (), "float32", "cpu", family.defaults)
    level = backbone.process.parse("s=0.3")
    with torch.inference_mode():
        one, two = (
            backbone.features(some_latents(), level, [TextTokens(tokens, text.count, text.mask)])["blocks.2"]
            for tokens in (text.hidden, hidden)
        )
    assert torch.equal(one, two)


def test_time_runs_from_noise_to_data(family):
    """The sampler's own steps lie on the path, and what the network gives leads from one to the next."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_config(family.pipeline.config("scheduler"))
    scheduler.set_timesteps(sigmas=linear_quadratic_schedule(64, 0.025))
    process = family.pipeline.process()
    data, noise = some_latents(), torch.randn(12, 3, 4, 6, generator=torch.manual_seed(1))
    levels = [process.level(float(t)) for t in scheduler.timesteps]
    for level, sigma in zip(levels, scheduler.sigmas, strict=False):
        assert level.signal == pytest.approx(float(sigma), abs=1e-6)
    assert (levels[0].told, levels[0].signal) == (0, 0)
    assert process.parse("clean").told == 1000
    before = add_noise(data, noise, levels[20])
    velocity = data - noise  # of Mochi's output
    after = scheduler.step(velocity, scheduler.timesteps[20], before, return_dict=False)[0]
    torch.testing.assert_close(after, add_noise(data, noise, levels[21]), rtol=1e-4, atol=1e-5)
    output = family.output(velocity[None], data.shape)[0]
    found = split_prediction("flow_prediction", before, output, levels[20])
    torch.testing.assert_close(found, (data, noise), rtol=1e-4, atol=1e-5)


def test_the_published_size():
    family = find_model("random:mochi-1").family
    with torch.device("meta"):
        network = make_network(family)
    assert sum(p.numel() for p in network.parameters()) / 1e9 == pytest.approx(10.028, abs=5e-4)
    assert family.expand_taps(None) == ("blocks.31",)
    shapes = family.shapes(("blocks.31", "blocks.31.q"), frames=85, height=480, width=848)
    assert set(shapes.values()) == {(15, 3072, 30, 53)}
    assert family.text_shape() == (256, 4096)
    assert family.strides.group == 6


def test_what_a_configuration_leaves_out_is_diffusers_default():
    for kind, defaults in ((diffusers.MochiTransformer3DModel, DEFAULTS), (diffusers.AutoencoderKLMochi, VAE_DEFAULTS)):
        known = inspect.signature(kind.__init__).parameters
        assert {name: known[name].default for name in defaults} == defaults


def test_places_of_a_mask_without_values_are_all():
    """A network that looks where a mask is not 0 can be run without values."""

    class Masked(torch.nn.Module):
        def forward(self, x, mask):
            places = torch.nonzero(mask, as_tuple=False).flatten()
            return x[places], mask.nonzero(as_tuple=True)[0]

    shapes = traced(Masked, lambda net: [tuple(v.shape) for v in net(torch.empty(5, 2), torch.ones(5))])
    assert shapes == [(5, 2), (5,)]


def save_pipeline(root, family):
    """A folder as it is published."""
    parts = architecture("tiny-mochi")
    network = whole_network(family)
    network.save_pretrained(root / "transformer")
    diffusers.AutoencoderKLMochi.from_config(parts["vae"]).save_pretrained(root / "vae")
    transformers.T5EncoderModel(transformers.T5Config(**parts["text_encoder"])).save_pretrained(root / "text_encoder")
    transformers.ByT5Tokenizer().save_pretrained(root / "tokenizer")
    diffusers.FlowMatchEulerDiscreteScheduler.from_config(parts["scheduler"]).save_pretrained(root / "scheduler")
    return network


def test_a_folder_is_read_up_to_the_tap(family, tmp_path):
    network = save_pipeline(tmp_path, family)
    model = find_model(str(tmp_path))
    condition = model.family.resolve_condition("vd-t", {})
    backbone = load_backbone(model.family, ("blocks.1",), (condition,), (), "float32", "cpu", {})
    own = dict(backbone.denoiser.network.named_parameters())
    read = {name for name, value in own.items() if value.device.type != "meta"}
    assert all(torch.equal(value, own[name]) for name, value in network.named_parameters() if name in read)
    assert "pos_frequencies" in read
    assert not any(name.startswith(("transformer_blocks.2", "norm_out", "proj_out")) for name in read)
    assert backbone.text(TEXTS[1]).hidden.isfinite().all()


def test_a_scheduler_of_the_other_direction_is_refused(family, tmp_path):
    save_pipeline(tmp_path, family)
    diffusers.FlowMatchEulerDiscreteScheduler().save_pretrained(tmp_path / "scheduler")
    with pytest.raises(ModelError, match=r'told 1000 \(1 - s\).*"invert_sigmas": true'):
        find_model(str(tmp_path))
