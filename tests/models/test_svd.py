import numpy as np
import pytest
import torch
from family_request import family_request

from vdprobe.data.resize import PreparedFrames
from vdprobe.errors import ConfigError, FeatureError, ModelError
from vdprobe.models.diffusion.clip_image import clip_vision_model
from vdprobe.models.diffusion.frame_vae import VideoEncoder, load_vae
from vdprobe.models.diffusion.pipeline import Pipeline, find_pipeline
from vdprobe.models.families import ARCHITECTURES, architecture
from vdprobe.models.registry import find_model
from vdprobe.models.unet.denoiser import make_network
from vdprobe.models.unet.pictures import squeezed
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import Condition, Item
from vdprobe.specs.video import Resize

NAME = "random:tiny-svd"
FRAMES = 4
CLIP = Clip("video", tuple(range(FRAMES)))


def request(**changes):
    usual = {"taps": ("unet.up.1",), "conditions": ("vd-i",), "noises": ("none",), "timesteps": ("sigma=0.5",)}
    return family_request(32, **usual | changes)


def frames(seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (FRAMES, 3, 64, 96)).astype(np.float32)


def encoded(values, **changes):
    model = find_model(NAME)
    specs = model.specs(request(**changes))
    clip = model.load(specs, "cpu").encode(CLIP, PreparedFrames(values, (64, 96), (64, 96)), specs)
    return clip, specs


def run(values, tap="unet.up.1", **changes):
    clip, specs = encoded(values, taps=(tap,), **changes)
    (spec,) = (spec for spec in specs if spec.condition is not None)
    with torch.inference_mode():
        out = clip.features(spec, [Item(video="video", digest="0", frames=CLIP.frames, text=None)], spec.timesteps[0])
    return out[tap][0]


@pytest.fixture(scope="module")
def pipe():
    """The pipeline of diffusers, of the same random parts."""
    from diffusers import EulerDiscreteScheduler, StableVideoDiffusionPipeline
    from transformers import CLIPImageProcessorPil

    from vdprobe.models.networks.weights import randomise

    pipeline = find_pipeline(NAME)
    place = torch.float32, torch.device("cpu")
    unet = make_network(find_model(NAME).family).eval()
    randomise(unet, 0, *place)
    parts = {
        "vae": load_vae(pipeline, *place),
        "image_encoder": clip_vision_model(pipeline, *place),
        "unet": unet,
        "scheduler": EulerDiscreteScheduler.from_config(pipeline.config("scheduler")),
        "feature_extractor": CLIPImageProcessorPil(),
    }
    return StableVideoDiffusionPipeline(**parts)


@pytest.mark.parametrize("size", [(64, 96), (480, 832), (576, 1024), (225, 224), (720, 300)])
def test_pictures_are_squeezed_as_in_the_pipeline(size):
    from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing

    frame = torch.rand(1, 3, *size, generator=torch.manual_seed(0)) * 2 - 1
    assert torch.equal(squeezed(frame, 224), (_resize_with_antialiasing(frame, (224, 224)) + 1) / 2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_forward_is_the_pipelines(pipe, monkeypatch):
    """All that its own `__call__` gives to the UNet at its last step, under the noise that it begins with."""
    seen = {}
    monkeypatch.setattr(
        "diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion._resize_with_antialiasing",
        lambda image, _: squeezed(image, 56) * 2 - 1,
    )
    forward = pipe.unet.forward

    def spy(sample, timestep, **rest):
        seen.update(rest, sample=sample, timestep=timestep)
        return forward(sample, timestep, **rest)

    monkeypatch.setattr(pipe.unet, "forward", spy)
    pixels = np.round((frames() + 1) * 127.5).astype(np.uint8)
    from PIL import Image

    pipe.set_progress_bar_config(disable=True)
    pipe(
        Image.fromarray(pixels[0].transpose(1, 2, 0)),
        64,
        96,
        num_frames=FRAMES,
        num_inference_steps=2,
        max_guidance_scale=1.0,
        noise_aug_strength=0.0,
        output_type="latent",
    )
    values = (pixels / 127.5 - 1).astype(np.float32)
    clip, specs = encoded(values, settings={"noise_aug": 0.0})
    denoiser = clip.model.backbone.denoiser
    condition = denoiser.condition(specs[0].condition, FRAMES, None, clip.image, None)
    # what the pipeline scales with sqrt(sigma^2 + 1) is what the level says of signal and amount
    sigma = float(pipe.scheduler.sigmas[1])
    level = clip.model.backbone.process.level(sigma)
    ours = denoiser.family.arguments(
        seen["sample"][..., :4, :, :].transpose(1, 2), level, [condition], denoiser.settings
    )
    torch.testing.assert_close(ours["encoder_hidden_states"], seen["encoder_hidden_states"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours["sample"], seen["sample"], rtol=1e-4, atol=1e-5)
    assert torch.equal(ours["added_time_ids"], seen["added_time_ids"])
    torch.testing.assert_close(ours["timestep"][0], seen["timestep"], rtol=1e-6, atol=1e-6)
    assert ours.keys() == seen.keys()
    scale = 1 / (sigma**2 + 1) ** 0.5
    assert (level.signal, level.amount) == pytest.approx((scale, sigma * scale))


def test_latents_of_the_clip_are_scaled_and_of_the_picture_not(pipe):
    clip, _ = encoded(frames(), settings={"noise_aug": 0.0})
    whole = load_vae(find_pipeline(NAME), torch.float32, torch.device("cpu"))
    mode = torch.cat([whole.encode(frame).latent_dist.mode() for frame in torch.from_numpy(frames()).split(1)])
    torch.testing.assert_close(clip.latents.transpose(0, 1), mode * 0.18215, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(clip.image.latents, mode[0], rtol=1e-4, atol=1e-5)


def test_the_image_is_of_the_first_frame_alone():
    before, after, first = frames(), frames(), frames()
    after[2] += 0.3
    first[0] += 0.3
    clips = [encoded(values)[0].image for values in (before, after, first)]
    for name in ("projected", "latents"):
        one, two, other = (getattr(image, name) for image in clips)
        assert torch.equal(one, two)
        assert not torch.equal(one, other)


def test_the_picture_is_augmented_by_a_draw_of_its_own():
    clean, *noisy = (
        encoded(frames(), settings={"noise_aug": strength}, seed=seed)[0].image
        for strength, seed in ((0.0, 0), (0.02, 0), (0.02, 0), (0.02, 1))
    )
    assert torch.equal(noisy[0].latents, noisy[1].latents)
    assert not torch.equal(noisy[0].latents, noisy[2].latents)
    assert not torch.equal(noisy[0].latents, clean.latents)
    assert torch.equal(noisy[0].projected, clean.projected)  # CLIP sees the picture without noise, as in the pipeline


def test_unconditional_is_zeros_for_both(pipe):
    """As the pipeline's guidance drops the image: no frame decides anything any more but through its own latents."""
    out = run(frames(), settings={"unconditional": True})
    assert not torch.equal(out, run(frames()))
    clip, _ = encoded(frames(), settings={"unconditional": True})
    denoiser = clip.model.backbone.denoiser
    assert clip.image is None
    assert clip.model.backbone.image is None
    latents = torch.randn(1, 4, FRAMES, 8, 12)
    arguments = denoiser.family.arguments(latents, clip.model.backbone.process.level(1.0), [None], denoiser.settings)
    assert not arguments["encoder_hidden_states"].any()
    assert torch.equal(arguments["sample"][:, :, :4], latents.transpose(1, 2))
    assert not arguments["sample"][:, :, 4:].any()
    assert not denoiser.facts(FRAMES)


def test_the_reader_is_told_that_the_picture_is_the_first_frame():
    """Of the UNet's features, not of the VAE's."""
    clip, specs = encoded(frames(), taps=("unet.up.1", "vae.down.0"))
    item = Item(video="video", digest="0", frames=CLIP.frames, text=None)
    told = {spec.condition is None: [note.fact for note in clip.notes(spec, item)] for spec in specs}
    assert told[True] == []
    assert len(told[False]) == 1
    assert "first frame for all of its frames" in told[False][0]


def test_an_inversion_is_given_the_picture():
    """There is no text that could be empty; settings that drop the picture drop it here too."""
    options = {"noises": ("inverted",), "inversion_steps": 2}
    given, dropped = (
        encoded(frames(), settings=setting, **options) for setting in ({"noise_aug": 0.0}, {"unconditional": True})
    )
    noisy = []
    for clip, (spec,) in (given, dropped):
        level = clip.model.backbone.process.level(spec.timesteps[0])
        with torch.inference_mode():
            noisy.append(clip._noisy(spec, level))
        assert "text_encoder" not in spec.model.parts
    assert noisy[0].shape == noisy[1].shape == given[0].latents.shape
    assert not torch.equal(*noisy)


@pytest.mark.parametrize("setting", [{"fps": 24}, {"motion_bucket": 20}, {"noise_aug": 0.5}])
def test_what_the_network_is_told_matters_and_is_keyed(setting):
    keys = {find_model(NAME).specs(request(settings=given))[0].key for given in ({}, setting)}
    assert len(keys) == 2
    assert not torch.equal(run(frames()), run(frames(), settings=setting))


def test_a_seed_is_in_the_key_where_it_draws():
    family = find_model(NAME).family
    assert family.settings(request(seed=3))["seed"] == 3
    for setting in ({"noise_aug": 0.0}, {"unconditional": True}):
        assert "seed" not in family.settings(request(seed=3, settings=setting))
    one, two = (find_model(NAME).specs(request(settings={"fps": fps}))[0].key for fps in (7, 7.0))
    assert one == two


def test_the_published_size():
    family = find_model("random:svd-xt").family
    with torch.device("meta"):
        unet = make_network(family)
    assert sum(p.numel() for p in unet.parameters()) == 1_524_623_082
    shapes = family.shapes(("unet.up.2", "unet.up.2.0.q", "unet.mid"), frames=25, height=576, width=1024)
    assert shapes == {
        "unet.up.2": (25, 640, 72, 128),
        "unet.up.2.0.q": (25, 640, 36, 64),
        "unet.mid": (25, 1280, 9, 16),
    }
    assert family.expand_taps(None) == ("unet.up.2",)


def test_taps_have_one_name():
    family = find_model(NAME).family
    expand = family.expand_taps

    def shapes(names):
        return family.shapes(expand(names), frames=2, height=64, width=96)

    assert expand(["unet.up_blocks.1", "unet.up.1", "unet.mid_block", "unet.conv_in"]) == (
        "unet.up.1",
        "unet.mid",
        "unet.in",
    )
    for wrong in ("unet.up.4", "unet.up.1.0.v", "blocks.3", "up.1", "unet.downs.0.q."):
        with pytest.raises(ConfigError, match=r"unknown tap .*(did you mean|valid names)") as error:
            shapes([wrong])
        assert "\n" not in str(error.value)


def test_taps_that_are_no_maps_teach():
    family = find_model(NAME).family
    with pytest.raises(ConfigError, match="has the heads 0 to 3"):
        family.shapes(("unet.up.1.0.q.9",), frames=2, height=64, width=96)
    for path in ("unet.time_embedding", "unet.down_blocks.0.attentions.0.temporal_transformer_blocks.0"):
        with pytest.raises(FeatureError, match="tap the module around it"):
            family.shapes((path,), frames=2, height=64, width=96)
    shapes = family.shapes(
        ("unet.down_blocks.0.attentions.0.transformer_blocks.0", "unet.down_blocks.0.resnets.0.temporal_res_block"),
        frames=2,
        height=64,
        width=96,
    )
    assert set(shapes.values()) == {(2, 32, 8, 12)}


@pytest.mark.parametrize(
    ("kind", "reason"), [("vd-t", "no text encoder"), ("vd-it", "nothing to attend to"), ("concat", "no text encoder")]
)
def test_conditions_without_meaning_teach(kind, reason):
    with pytest.raises(ModelError, match=rf"{reason}; take vd-i"):
        find_model(NAME).specs(request(conditions=(kind,)))


def test_bad_input_teaches(monkeypatch):
    model = find_model(NAME)
    with pytest.raises(ModelError, match="no place for an adapter"):
        model.family.check_adapters((Condition(kind="vd-i", form="adapter"),), ())
    with pytest.raises(ConfigError, match=r"settings.fsp is no setting .* did you mean 'fps'"):
        model.specs(request(settings={"fsp": 3}))
    with pytest.raises(ConfigError, match=r"settings.unconditional .* must be a bool"):
        model.specs(request(settings={"unconditional": 1}))
    with pytest.raises(ConfigError, match="multiple of 8"):
        model.specs(request(resize=Resize(multiple=4)))
    with pytest.raises(ConfigError, match="has no t but a sigma"):
        model.specs(request(timesteps=("t=50",)))
    broken = {part: dict(config) for part, config in architecture("tiny-svd").items()}
    broken["image_encoder"]["projection_dim"] = 24
    broken["vae"]["_class_name"] = "AutoencoderKLWan"
    monkeypatch.setattr(Pipeline, "config", lambda self, part: broken[part])
    with pytest.raises(ModelError, match="width 24, its unet takes 48"):
        model.family.check_adapters((), ())
    with pytest.raises(ModelError, match=r"its vae is of class AutoencoderKLWan.*AutoencoderKLTemporalDecoder"):
        VideoEncoder.load(model.pipeline, (), torch.float32, torch.device("cpu"))
    broken["image_encoder"]["projection_dim"] = 48
    broken["unet"]["projection_class_embeddings_input_dim"] = 64
    with pytest.raises(ModelError, match=r"not 3 \(fps, motion bucket, noise\) times 32"):
        model.family.check_adapters((), ())


def test_from_a_folder_as_published(pipe, tmp_path):
    """With its own part names: no text encoder, the picture's processor in a folder that is not asked for."""
    pipe.save_pretrained(tmp_path)
    model = find_model(str(tmp_path))
    (spec,) = model.specs(request())
    assert set(spec.model.parts) == {"unet", "vae", "scheduler", "image_encoder"}
    clip = model.load([spec], "cpu").encode(CLIP, PreparedFrames(frames(), (64, 96), (64, 96)), [spec])
    with torch.inference_mode():
        out = clip.features(spec, [Item(video="video", digest="0", frames=CLIP.frames, text=None)], spec.timesteps[0])
    torch.testing.assert_close(out["unet.up.1"][0], run(frames()), rtol=1e-4, atol=1e-5)


def test_architectures_are_named():
    assert {"tiny-svd", "svd-xt"} <= set(ARCHITECTURES)
