"""LTX-Video against the pipelines of diffusers, on tiny random networks, and at its published sizes without weights."""

import diffusers
import pytest
import torch
from family_request import family_request

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.models.ltx.family import LTXVideo
from vdprobe.models.registry import find_model
from vdprobe.models.transformer.denoiser import make_network
from vdprobe.models.transformer.vae import TemporalVAE
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import LatentSampling
from vdprobe.specs.video import Resize

CPU = torch.device("cpu")
OLD, NEW = "random:tiny-ltx", "random:tiny-ltx-0.9.5"
TEXT = "a red star moves left"


def request(**changes):
    return family_request(32, **changes)


def family(name):
    return find_model(name).family


def theirs(kind, text, vae, transformer):
    """Their pipeline of these parts."""
    return getattr(diffusers, kind)(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=text.model,
        tokenizer=text.tokenizer,
        transformer=transformer,
    )


@pytest.mark.parametrize("prompt", [TEXT, "", "a red star " * 40])
@pytest.mark.parametrize(("name", "kind", "length"), [(OLD, "LTXPipeline", 128), (NEW, "LTXConditionPipeline", 256)])
def test_texts_are_the_pipelines(name, kind, length, prompt):
    """With each pipeline's own number of tokens; the earlier one gives T5 no mask, so that padding counts."""
    text = family(name).load_text(torch.float32, CPU)
    pipeline = theirs(kind, text, None, make_network(family(name)))
    hidden, mask, _, _ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)
    ours = text(prompt)
    assert torch.equal(ours.hidden, hidden[0])
    assert torch.equal(ours.mask, mask[0])
    assert ours.truncated == (len(prompt) >= length)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of their scheduler
@pytest.mark.parametrize("name", [OLD, NEW])
@pytest.mark.parametrize("fps", [25.0, 30])
def test_a_step_of_their_pipeline_runs_the_same_forward(name, fps, monkeypatch):
    """All arguments of the denoiser at the first step are those that we make of the same latents."""
    model = family(name)
    text = model.load_text(torch.float32, CPU)
    vae = diffusers.AutoencoderKLLTXVideo.from_config(model.pipeline.config("vae"))
    network = make_network(model).eval()
    kind = "LTXPipeline" if name == OLD else "LTXConditionPipeline"
    pipeline = theirs(kind, text, vae, network)
    pipeline.set_progress_bar_config(disable=True)
    calls = []
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda **arguments: calls.append(arguments) or forward(**arguments))
    latents = torch.randn(1, 8, 3, 2, 4, generator=torch.manual_seed(0))
    given = {"latents": latents.flatten(2).transpose(1, 2)} if name == OLD else {"generator": torch.manual_seed(0)}
    pipeline(
        prompt=TEXT,
        height=64,
        width=128,
        num_frames=17,
        frame_rate=fps,
        num_inference_steps=1,
        guidance_scale=1.0,
        output_type="latent",
        **given,
    )
    (call,) = calls
    settings = model.settings(request(settings={"fps": fps}))
    level = model.pipeline.process().level(float(call["timestep"].flatten()[0]))
    ours = model.arguments(latents, level, [text(TEXT)], settings)
    assert ours.keys() == call.keys() - {"attention_kwargs"}
    for argument, value in ours.items():
        if argument == "timestep":
            assert torch.equal(value, call[argument].flatten())
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, call[argument])
        else:
            assert value == call[argument]
    with torch.inference_mode():
        assert torch.equal(network(**ours)[0], network(**call)[0])


@pytest.mark.parametrize("name", [OLD, NEW])
def test_latents_are_normalised_as_the_pipelines_do(name):
    """By the buffers of the VAE, which are 0 and 1 in random weights and are not in trained ones."""
    model = family(name)
    encoder = TemporalVAE.load(model, {"latent_frames": "native"}, CPU)
    encoder.vae.latents_mean.normal_(generator=torch.manual_seed(0))
    encoder.vae.latents_std.uniform_(0.5, 2, generator=torch.manual_seed(1))
    pixels = torch.rand(9, 3, 64, 96, generator=torch.manual_seed(2)) * 2 - 1
    with torch.inference_mode():
        ours = encoder.latents(encoder(pixels, posterior=True), LatentSampling(kind="mode"), Clip("v", tuple(range(9))))
        raw = encoder.vae.encode(pixels.transpose(0, 1)[None]).latent_dist.mode()
    expected = diffusers.LTXConditionPipeline._normalize_latents(raw, encoder.vae.latents_mean, encoder.vae.latents_std)
    assert ours.shape == (8, 2, 2, 3)
    assert torch.equal(ours, expected[0])


def test_an_output_is_unpacked_as_the_pipeline_does():
    model = family(OLD)
    tokens = torch.randn(2, 3 * 4 * 5, 8, generator=torch.manual_seed(0))
    assert torch.equal(model.output(tokens, (8, 3, 4, 5)), diffusers.LTXPipeline._unpack_latents(tokens, 3, 4, 5))


def test_the_frame_rate_changes_features():
    model = family(OLD)
    network = make_network(model).eval()
    latents = torch.randn(1, 8, 3, 2, 2, generator=torch.manual_seed(0))
    level, text = model.pipeline.process().parse("s=0.3"), model.load_text(torch.float32, CPU)(TEXT)
    with torch.inference_mode():
        slow, fast = (
            network(**model.arguments(latents, level, [text], {**model.defaults, "fps": fps}))[0] for fps in (8, 30)
        )
    assert not torch.allclose(slow, fast)


@pytest.mark.parametrize(
    ("name", "parameters", "default", "shape", "first_frame_alone"),
    [
        ("ltx-2b", 1.923e9, "blocks.18", (16, 2048, 15, 22), False),
        ("ltx-13b", 13.043e9, "blocks.32", (16, 4096, 15, 22), True),
    ],
)
def test_published_sizes(name, parameters, default, shape, first_frame_alone):
    model = LTXVideo(find_pipeline(f"random:{name}"))
    with torch.device("meta"):
        network = make_network(model)
        vae = diffusers.AutoencoderKLLTXVideo.from_config(model.pipeline.config("vae"))
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(parameters, rel=5e-4)
    assert vae.config.latent_channels == model.latent_channels
    assert (vae.temporal_compression_ratio, vae.spatial_compression_ratio) == (model.strides.group, model.strides.side)
    assert model.expand_taps(None) == (default,)
    assert model.shapes((default,), frames=121, height=480, width=704) == {default: shape}
    assert model.defaults == {"fps": 25.0, "first_frame_alone": first_frame_alone}


def test_a_frame_rate_has_one_name():
    model = find_model(OLD)
    (whole,), (fraction,) = (model.specs(request(settings={"fps": fps})) for fps in (30, 30.0))
    assert whole.key == fraction.key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fps": 0}, r"settings\.fps \(=0\.0\) must be frames a second, a number above 0 such as 25"),
        ({"fps": -8.0}, r"settings\.fps \(=-8\.0\) must be frames a second"),
        ({"fps": float("nan")}, r"settings\.fps \(=nan\) must be frames a second"),
        ({"fps": "fast"}, r"settings\.fps \(='fast'\) must be a float, such as 25\.0"),
        ({"first_frame_alone": 1}, r"settings\.first_frame_alone \(=1\) must be a bool"),
        ({"frame_rate": 24}, r"settings\.frame_rate is no setting of 'random:tiny-ltx'"),
    ],
)
def test_settings_that_cannot_be_meant(settings, message):
    with pytest.raises(ConfigError, match=message):
        family(OLD).settings(request(settings=settings))


@pytest.mark.parametrize(
    ("tap", "message"),
    [
        ("blocks.4", r"this model has blocks\.0 to blocks\.3"),
        ("unet.up.1", "unknown tap 'unet.up.1'"),
        ("blocks.0.q.2", "of one of 2 heads"),
    ],
)
def test_taps_that_are_not_there(tap, message):
    with pytest.raises(ConfigError, match=message):
        family(OLD).expand_taps([tap])


def test_frames_must_be_cut_into_places():
    with pytest.raises(ConfigError, match=r"must be a multiple of 32.*set resize\.multiple=32"):
        family(OLD).settings(request(resize=Resize(multiple=16)))


def test_image_conditions_are_refused():
    with pytest.raises(ModelError, match=r"condition 'vd-i' has no meaning.*take vd-t"):
        find_model(OLD).specs(request(conditions=("vd-i",)))


def test_other_patches_are_refused():
    model = LTXVideo(find_pipeline(OLD))
    config = {**model.config, "patch_size": 2}
    changed = type("Changed", (LTXVideo,), {"config": property(lambda self: config)})
    with pytest.raises(ModelError, match=r"has patches of \(1, 2\) latents; known are those of 1"):
        assert changed(model.pipeline).strides
