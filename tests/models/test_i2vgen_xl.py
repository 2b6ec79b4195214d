import diffusers
import numpy as np
import pytest
import torch
from family_request import family_request
from PIL import Image

from vdprobe.data.resize import PreparedFrames
from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.clip_image import clip_vision_model
from vdprobe.models.diffusion.clip_text import byte_tokenizer, clip_text_model
from vdprobe.models.diffusion.frame_vae import load_vae
from vdprobe.models.diffusion.pipeline import Pipeline, find_pipeline
from vdprobe.models.families import architecture
from vdprobe.models.networks.weights import randomise
from vdprobe.models.registry import find_model
from vdprobe.models.unet.denoiser import make_network
from vdprobe.models.unet.pictures import centred
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import Condition, Item
from vdprobe.specs.video import ClipSampling

NAME = "random:tiny-i2vgen-xl"
MODULE = "diffusers.pipelines.deprecated.i2vgen_xl.pipeline_i2vgen_xl"
FRAMES = 4
CLIP = Clip("video", tuple(range(FRAMES)))
TEXT = "a red star"
PLACE = torch.float32, torch.device("cpu")


def request(**changes):
    usual = {"clips": ClipSampling(frames=16), "taps": ("unet.up.1",), "noises": ("none",), "timesteps": (50,)}
    return family_request(32, **usual | {"conditions": ("concat",)} | changes)


def integers():
    return np.random.default_rng(0).integers(0, 256, (FRAMES, 3, 64, 96), dtype=np.uint8)


def frames():
    return (integers() / 127.5 - 1).astype(np.float32)


def encoded(values, **changes):
    model = find_model(NAME)
    (spec,) = model.specs(request(**changes))
    return model.load([spec], "cpu").encode(CLIP, PreparedFrames(values, (64, 96), (64, 96)), [spec]), spec


def run(values, text=TEXT, **changes):
    clip, spec = encoded(values, **changes)
    item = Item(video="video", digest="0", frames=CLIP.frames, text=text if spec.uses_text else None)
    with torch.inference_mode():
        return clip.features(spec, [item], 50)["unet.up.1"][0]


@pytest.mark.parametrize("size", [(64, 96), (480, 832), (704, 1280), (224, 224), (97, 160)])
def test_pictures_are_cut_as_in_the_pipeline(size):
    from diffusers.image_processor import VaeImageProcessor
    from diffusers.pipelines.deprecated.i2vgen_xl.pipeline_i2vgen_xl import _center_crop_wide, _resize_bilinear

    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    square = _resize_bilinear(_center_crop_wide(Image.fromarray(pixels), (size[1], size[1])), (224, 224))
    theirs = VaeImageProcessor.numpy_to_pt(VaeImageProcessor.pil_to_numpy(square))
    ours = centred((torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1), 224)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_the_forward_is_the_pipelines(monkeypatch):
    """All that its own `__call__` gives to the UNet, under the noise that it begins with."""
    from transformers import CLIPImageProcessorPil, CLIPTextModel

    pipeline = find_pipeline(NAME)
    unet = make_network(find_model(NAME).family).eval()
    randomise(unet, 0, *PLACE)
    side = 56
    pipe = diffusers.I2VGenXLPipeline(
        vae=load_vae(pipeline, *PLACE),
        text_encoder=clip_text_model(pipeline, *PLACE),
        tokenizer=byte_tokenizer(),
        image_encoder=clip_vision_model(pipeline, *PLACE),
        feature_extractor=CLIPImageProcessorPil(crop_size={"height": side, "width": side}),
        unet=unet,
        scheduler=diffusers.DDIMScheduler.from_config(pipeline.config("scheduler")),
    )
    pipe.set_progress_bar_config(disable=True)
    if not hasattr(CLIPTextModel, "text_model"):  # where the pipeline looks for the last norm
        monkeypatch.setattr(CLIPTextModel, "text_model", property(lambda self: self), raising=False)
    distribution = "diffusers.models.autoencoders.vae.DiagonalGaussianDistribution"
    monkeypatch.setattr(f"{distribution}.sample", lambda self, generator=None: self.mode())
    seen = {}

    def spy(sample, timestep, **rest):
        seen.update(rest, sample=sample, timestep=timestep)
        return (torch.zeros_like(sample),)

    monkeypatch.setattr(unet, "forward", spy)
    picture = Image.fromarray(integers()[0].transpose(1, 2, 0))
    pipe(TEXT, picture, 64, 96, num_frames=FRAMES, num_inference_steps=2, guidance_scale=1.0, output_type="latent")
    clip, spec = encoded(frames())
    denoiser = clip.model.backbone.denoiser
    condition = denoiser.condition(spec.condition, FRAMES, clip.model.text(TEXT), clip.image, None)
    level = clip.model.backbone.process.level(int(seen["timestep"]))
    ours = denoiser.family.arguments(seen["sample"], level, [condition], denoiser.settings)
    assert torch.equal(ours["encoder_hidden_states"], seen["encoder_hidden_states"])
    torch.testing.assert_close(ours["image_embeddings"], seen["image_embeddings"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours["image_latents"], seen["image_latents"], rtol=1e-4, atol=1e-5)
    assert torch.equal(ours["fps"], seen["fps"])
    assert ours["timestep"] == seen["timestep"]
    assert ours.keys() == seen.keys() - {"cross_attention_kwargs"}


def test_what_it_sees_matters():
    base = run(frames())
    assert torch.equal(base, run(frames()))
    later, first = frames(), frames()
    later[2] += 0.1
    first[0] += 0.1
    one, two, other = (encoded(values)[0].image for values in (frames(), later, first))
    assert torch.equal(one.latents, two.latents)
    assert torch.equal(one.projected, two.projected)
    assert not torch.equal(one.latents, other.latents)
    assert not torch.equal(base, run(frames(), text="two blue circles"))
    assert not torch.equal(base, run(frames(), settings={"fps": 24}))


def test_vd_i_is_the_empty_text():
    family = find_model(NAME).family
    assert torch.equal(run(frames(), conditions=("vd-i",)), run(frames(), text=""))
    for kind in ("vd-i", "concat"):
        parts = family.parts(family.resolve_condition(kind, {}))
        assert sorted(parts) == ["image_encoder", "scheduler", "text_encoder", "tokenizer", "unet", "vae"]


def test_one_frame_is_a_clip():
    model = find_model(NAME)
    (spec,) = model.specs(request())
    one = PreparedFrames(frames()[:1], (64, 96), (64, 96))
    clip = model.load([spec], "cpu").encode(Clip("video", (0,)), one, [spec])
    with torch.inference_mode():
        out = clip.features(spec, [Item(video="video", digest="0", frames=(0,), text=TEXT)], 50)
    assert out["unet.up.1"].shape == (1, 1, 64, 4, 6)
    assert not any(
        "temporal layers are skipped" in note.fact
        for note in clip.notes(spec, Item(video="video", digest="0", frames=(0,), text=TEXT))
    )


def test_the_published_size():
    family = find_model("random:i2vgen-xl").family
    with torch.device("meta"):
        unet = make_network(family)
    assert sum(p.numel() for p in unet.parameters()) / 1e9 == pytest.approx(1.420, abs=5e-4)
    assert family.shapes(("unet.up.2", "unet.up.2.0.q", "unet.in"), frames=16, height=704, width=1280) == {
        "unet.up.2": (16, 640, 88, 160),
        "unet.up.2.0.q": (16, 640, 44, 80),
        "unet.in": (16, 320, 88, 160),
    }
    assert family.expand_taps(None) == ("unet.up.2",)


@pytest.mark.parametrize(("kind", "reason"), [("vd-t", "first frame beside every text"), ("vd-it", "side by side")])
def test_conditions_without_meaning_teach(kind, reason):
    with pytest.raises(ModelError, match=rf"{reason}.*; take concat .* or vd-i"):
        find_model(NAME).specs(request(conditions=(kind,)))


def test_bad_input_teaches(monkeypatch):
    model = find_model(NAME)
    with pytest.raises(ModelError, match="no place for an adapter"):
        model.family.check_adapters((Condition(kind="vd-i", form="adapter"),), ())
    with pytest.raises(ConfigError, match=r"settings\.motion_bucket is no setting .*"):
        model.specs(request(settings={"motion_bucket": 3}))
    broken = {part: dict(config) for part, config in architecture("tiny-i2vgen-xl").items()}
    broken["text_encoder"]["hidden_size"] = 24
    monkeypatch.setattr(Pipeline, "config", lambda self, part: broken[part])
    with pytest.raises(ModelError, match="its text_encoder gives embeddings of width 24, its unet takes 48"):
        model.family.check_adapters((), ())
