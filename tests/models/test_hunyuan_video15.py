"""HunyuanVideo 1.5 against the pipeline of diffusers, on tiny random networks, and at its published size on none."""

import diffusers
import pytest
import torch
from diffusers.guiders import ClassifierFreeGuidance
from diffusers.pipelines.hunyuan_video1_5.pipeline_hunyuan_video1_5 import extract_glyph_texts
from family_request import family_request

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.pipeline import Pipeline, find_pipeline
from vdprobe.models.hunyuan_video15.family import HunyuanVideo15, side_by_side
from vdprobe.models.hunyuan_video15.text import SYSTEM, written_text
from vdprobe.models.networks.tapped import entered_modules
from vdprobe.models.networks.weights import randomise
from vdprobe.models.registry import find_model
from vdprobe.models.transformer.denoiser import make_network, needed, tap_points
from vdprobe.models.transformer.vae import TemporalVAE
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import LatentSampling
from vdprobe.specs.video import Resize

CPU = torch.device("cpu")
NAME = "random:tiny-hunyuan-video-1.5"
PLAIN, WRITTEN = "a red star moves left", 'a sign that says "open" and “closed”, and "open" again'


def request(**changes):
    return family_request(16, **changes)


@pytest.fixture(scope="module")
def family():
    return find_model(NAME).family


@pytest.fixture(scope="module")
def text(family):
    return family.load_text(torch.float32, CPU)


@pytest.fixture(scope="module")
def network(family):
    made = make_network(family).eval()
    randomise(made, 0, torch.float32, CPU)
    return made


@pytest.fixture
def pipeline(family, text, network):
    """Their pipeline of our parts, which crops where our tokenizer's chat begins (Qwen 2.5's after 108 tokens)."""
    made = diffusers.HunyuanVideo15Pipeline(
        text_encoder=text.text_encoder,
        tokenizer=text.tokenizer,
        transformer=network,
        vae=diffusers.AutoencoderKLHunyuanVideo15.from_config(family.pipeline.config("vae")),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=5.0),
        text_encoder_2=text.text_encoder_2,
        tokenizer_2=text.tokenizer_2,
        guider=ClassifierFreeGuidance(guidance_scale=1.0),
    )
    made.prompt_template_encode_start_idx = text.crop
    made.set_progress_bar_config(disable=True)
    return made


def test_the_chat_is_theirs(pipeline):
    assert pipeline.system_message == SYSTEM


@pytest.mark.parametrize("prompt", [PLAIN, WRITTEN, '""', '"a', '“a” "a" “b”'])
def test_what_is_in_quotation_marks_is_theirs(prompt):
    assert written_text(prompt) == (extract_glyph_texts(prompt) or "")


@pytest.mark.parametrize("prompt", [PLAIN, "", WRITTEN, "a red star " * 100, f'"{"wide " * 60}"'])
def test_texts_are_the_pipelines_without_padding(pipeline, text, prompt):
    hidden, mask, written, mask_2 = pipeline.encode_prompt(prompt)
    ours = text(prompt)
    assert torch.equal(ours.hidden, hidden[0][mask[0].bool()])
    assert torch.equal(ours.second.hidden, written[0][mask_2[0].bool()])
    assert ours.truncated == (len(prompt) > 1000)
    assert bool(ours.facts) == ours.second.truncated == ("wide" in prompt)


@pytest.mark.parametrize("prompt", [PLAIN, WRITTEN])
def test_a_step_of_their_pipeline_runs_the_same_forward(family, pipeline, network, text, prompt, monkeypatch):
    """To the rounding of sums: theirs has hundreds of masked tokens more, of no text and of no image."""
    calls = []
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda **arguments: calls.append(arguments) or forward(**arguments))
    latents = torch.randn(1, 4, 3, 2, 3, generator=torch.manual_seed(0))
    pipeline(
        prompt=prompt,
        height=32,
        width=48,
        num_frames=9,
        num_inference_steps=1,
        latents=latents,
        output_type="latent",
    )
    call = calls[0]
    level = family.pipeline.process().level(float(call["timestep"][0]))
    ours = family.arguments(latents, level, [text(prompt)], {})
    assert ours.keys() == call.keys() - {"attention_kwargs"}
    for argument in ("hidden_states", "timestep"):
        assert torch.equal(ours[argument], call[argument])
    assert call["image_embeds"].shape[1] == 729
    assert ours["image_embeds"].shape[1] == 0
    with torch.inference_mode():
        torch.testing.assert_close(network(**ours)[0], network(**call)[0], rtol=1e-5, atol=1e-6)


def test_texts_of_different_lengths_stand_side_by_side():
    hidden, mask = side_by_side([torch.ones(2, 3), torch.ones(0, 3), torch.ones(4, 3)])
    assert hidden.shape == (3, 4, 3)
    assert mask.sum(1).tolist() == [2, 0, 4]
    assert torch.equal(hidden.sum(2), mask * 3.0)
    assert side_by_side([torch.ones(0, 3)])[0].shape == (1, 0, 3)


@pytest.mark.parametrize("tap", ["blocks.0", "blocks.2.q"])
def test_a_forward_without_values_enters_what_one_with_values_enters(family, network, text, tap):
    """It cannot look at its masks, and is let find that all are full."""
    points = tap_points(family, [tap])
    names = needed(family, points, {})
    latents = torch.randn(1, 4, 1, 4, 4, generator=torch.manual_seed(0))
    level = family.pipeline.process().parse("s=0.3")
    with torch.inference_mode():
        entered = entered_modules(network, points, family.arguments(latents, level, [text(WRITTEN)], {}))
    assert names is not None
    assert {name.rpartition(".")[0] for name in names} == {
        path for path in entered if next(network.get_submodule(path).parameters(recurse=False), None) is not None
    }


def test_latents_are_those_of_their_vae(family):
    own = diffusers.AutoencoderKLHunyuanVideo15.from_config(family.pipeline.config("vae")).eval()
    randomise(own, family.pipeline.seed("vae"), torch.float32, CPU)
    pixels = torch.rand(9, 3, 32, 48, generator=torch.manual_seed(0)) * 2 - 1
    loaded = TemporalVAE.load(family, {"latent_frames": "native"}, CPU)
    with torch.inference_mode():
        ours = loaded.latents(loaded(pixels, posterior=True), LatentSampling(kind="mode"), Clip("v", tuple(range(9))))
        expected = own.encode(pixels.transpose(0, 1)[None]).latent_dist.mode() * own.config.scaling_factor
    assert torch.equal(ours, expected[0])


def test_published_size():
    model = HunyuanVideo15(find_pipeline("random:hunyuan-video-1.5"))
    with torch.device("meta"):
        network = make_network(model)
        vae = diffusers.AutoencoderKLHunyuanVideo15.from_config(model.pipeline.config("vae"))
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(8.327e9, rel=5e-4)
    assert (vae.temporal_compression_ratio, vae.spatial_compression_ratio) == (model.strides.group, model.strides.side)
    assert model.latent_channels == vae.config.latent_channels
    assert model.expand_taps(None) == ("blocks.36",)
    assert model.shapes(("blocks.36",), frames=121, height=480, width=848) == {"blocks.36": (31, 2048, 30, 53)}


def test_both_text_encoders_are_in_the_key():
    (spec,) = find_model(NAME).specs(request())
    assert {"text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"} < spec.model.parts.keys()


def test_models_that_are_told_two_times_are_refused():
    class Changed(Pipeline):
        def config(self, part):
            return super().config(part) | ({"use_meanflow": True} if part == "transformer" else {})

    pipeline = find_pipeline(NAME)
    with pytest.raises(ModelError, match="distilled to jump between two noise levels"):
        assert HunyuanVideo15(Changed(pipeline.name, pipeline.folders, pipeline.random)).blocks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"guidance": 6.0}}, r"settings\.guidance is no setting of .*it has none"),
        ({"resize": Resize(multiple=8)}, r"must be a multiple of 16"),
    ],
)
def test_requests_that_cannot_be_meant(family, changes, message):
    with pytest.raises(ConfigError, match=message):
        family.settings(request(**changes))
