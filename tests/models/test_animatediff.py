import json

import diffusers
import numpy as np
import pytest
import torch
from family_request import family_request

from vdprobe.data.resize import PreparedFrames
from vdprobe.errors import ConfigError, FeatureError, ModelError
from vdprobe.models.diffusion.backbone import Backbone
from vdprobe.models.diffusion.clip_text import byte_tokenizer, clip_text_model
from vdprobe.models.diffusion.frame_vae import load_vae
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.models.diffusion.process import Discrete
from vdprobe.models.families import architecture
from vdprobe.models.networks.weights import randomise
from vdprobe.models.registry import find_model
from vdprobe.models.unet.denoiser import make_network
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import Condition, Item
from vdprobe.specs.video import ClipSampling

NAME = "random:tiny-animatediff"
FRAMES = 4
CLIP = Clip("video", tuple(range(FRAMES)))
PLACE = torch.float32, torch.device("cpu")
TEXT = Condition(kind="vd-t", form="raw")


def request(**changes):
    usual = {"clips": ClipSampling(frames=16), "taps": ("unet.up.1",), "noises": ("none",), "timesteps": (50,)}
    return family_request(32, **usual | changes)


def frames():
    return np.random.default_rng(0).uniform(-1, 1, (FRAMES, 3, 64, 96)).astype(np.float32)


def features(model, **changes):
    """(frame, channel, height, width) of the one tap that is asked for."""
    (spec,) = model.specs(request(**changes))
    clip = model.load([spec], "cpu").encode(CLIP, PreparedFrames(frames(), (64, 96), (64, 96)), [spec])
    text = "a red star" if spec.uses_text else None
    with torch.inference_mode():
        out = clip.features(spec, [Item(video="video", digest="0", frames=CLIP.frames, text=text)], 50)
    return out[spec.taps[0]][0]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """An image model and a motion adapter, in folders of their own as published, and diffusers' join of them."""
    root = tmp_path_factory.mktemp("two")
    down, up = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=1,
        down_block_types=(down, down, down, "DownBlock2D"),
        up_block_types=("UpBlock2D", up, up, up),
        cross_attention_dim=48,
        norm_num_groups=8,
        attention_head_dim=2,
    ).eval()
    motion = diffusers.MotionAdapter(
        block_out_channels=(32, 32, 64, 64),
        motion_layers_per_block=1,
        motion_norm_num_groups=8,
        motion_num_attention_heads=2,
        motion_max_seq_length=24,
    ).eval()
    for value in motion.parameters():
        if not value.any():  # what starts at zero in training would hide the motion modules
            torch.nn.init.normal_(value, std=0.1)
    unet.save_pretrained(root / "image" / "unet")
    motion.save_pretrained(root / "motion")
    pipeline = find_pipeline(NAME)
    load_vae(pipeline, *PLACE).save_pretrained(root / "image" / "vae")
    clip_text_model(pipeline, *PLACE).save_pretrained(root / "image" / "text_encoder")
    byte_tokenizer().save_pretrained(root / "image" / "tokenizer")
    scheduler = architecture("tiny-animatediff")["scheduler"] | {
        "_class_name": "PNDMScheduler",
        "beta_schedule": "scaled_linear",
        "skip_prk_steps": True,
    }
    (root / "image" / "scheduler").mkdir()
    (root / "image" / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    return root, diffusers.UNetMotionModel.from_unet2d(unet, motion).eval()


def test_two_repositories_are_the_network_that_diffusers_joins(two):
    root, whole = two
    name = f"{root / 'image'}+{root / 'motion'}"
    model = find_model(name)
    assert model.name == name
    (spec,) = model.specs(request())
    assert set(spec.model.parts) == {"unet", "vae", "scheduler", "text_encoder", "tokenizer", "motion_adapter"}
    backbone = Backbone.load(model.pipeline, taps=("unet.up.1", "unet.down.0"), conditions=(TEXT,), device="cpu")
    latents = torch.randn(4, FRAMES, 8, 12, generator=torch.manual_seed(0))
    condition = backbone.denoiser.condition(TEXT, FRAMES, backbone.text("a red star"), None, None)
    caught = []
    whole.up_blocks[1].register_forward_hook(lambda _m, _i, out: caught.append(out))
    with torch.inference_mode():
        ours = backbone.features(latents, backbone.process.parse(50), [condition])
        whole(latents[None], torch.tensor([50]), condition)
    torch.testing.assert_close(ours["unet.up.1"][0], caught[0], rtol=1e-4, atol=1e-5)
    named = dict(backbone.denoiser.network.named_parameters())
    assert not any(value.device.type != "meta" for path, value in named.items() if path.startswith("up_blocks.2"))


def test_a_motion_adapter_may_lie_beside_the_unet(two, tmp_path):
    root, _ = two
    for folder in (root / "image").iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    (tmp_path / "motion_adapter").symlink_to(root / "motion")
    beside, named = (features(find_model(name)) for name in (str(tmp_path), f"{root / 'image'}+{root / 'motion'}"))
    assert torch.equal(beside, named)


def test_saved_together_they_are_the_same(two, tmp_path):
    root, whole = two
    for folder in (root / "image").iterdir():
        if folder.name != "unet":
            (tmp_path / folder.name).symlink_to(folder)
    whole.save_pretrained(tmp_path / "unet")
    together = features(find_model(str(tmp_path)))
    torch.testing.assert_close(
        together, features(find_model(f"{root / 'image'}+{root / 'motion'}")), rtol=1e-4, atol=1e-5
    )


def test_only_what_is_needed_of_both_is_read(two, monkeypatch):
    from vdprobe.models.networks import weights

    root, _ = two
    read = []
    original = weights.read_tensors

    def counting(path, names):
        for found in original(path, names):
            read.append((path.parent.name, found[0]))
            yield found

    monkeypatch.setattr(weights, "read_tensors", counting)
    pipeline = find_pipeline(f"{root / 'image'}+{root / 'motion'}")
    Backbone.load(pipeline, taps=("unet.down.0",), device="cpu")
    assert {path for path, _ in read} == {"unet", "motion"}
    assert all(name.startswith(("down_blocks.0.", "conv_in.", "time_embedding.")) for _, name in read)
    assert all(("motion_modules" in name) == (path == "motion") for path, name in read)
    read.clear()
    Backbone.load(pipeline, taps=("unet.in",), device="cpu")
    assert {path for path, _ in read} == {"unet"}


def test_betas_are_linear_whatever_the_image_model_says(two):
    """As in diffusers' examples of AnimateDiff, which change the scheduler that they read in this."""
    root, _ = two
    process = find_model(f"{root / 'image'}+{root / 'motion'}").family.process()
    linear = diffusers.DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="linear")
    assert isinstance(process, Discrete)
    np.testing.assert_allclose(process.alphas_cumprod, linear.alphas_cumprod, rtol=1e-5)
    np.testing.assert_allclose(find_model(NAME).family.process().alphas_cumprod, linear.alphas_cumprod, rtol=1e-5)


def test_texts_and_latents_are_the_pipelines():
    pipeline = find_pipeline(NAME)
    unet = make_network(find_model(NAME).family).eval()
    randomise(unet, 0, *PLACE)
    config = pipeline.config("scheduler")
    pipe = diffusers.AnimateDiffVideoToVideoPipeline(
        vae=load_vae(pipeline, *PLACE),
        text_encoder=clip_text_model(pipeline, *PLACE),
        tokenizer=byte_tokenizer(),
        unet=unet,
        motion_adapter=None,
        scheduler=diffusers.DDIMScheduler.from_config(config),
    )
    model = find_model(NAME)
    (spec,) = model.specs(request())
    loaded = model.load([spec], "cpu")
    with torch.inference_mode():
        expected, _ = pipe.encode_prompt("a red star", torch.device("cpu"), 1, False)
        assert torch.equal(loaded.text("a red star").hidden, expected[0])
        clip = loaded.encode(CLIP, PreparedFrames(frames(), (64, 96), (64, 96)), [spec])
        modes = pipe.vae.encode(torch.from_numpy(frames())).latent_dist.mode() * pipe.vae.config.scaling_factor
    torch.testing.assert_close(clip.latents.transpose(0, 1), modes, rtol=1e-4, atol=1e-5)


def test_each_frame_has_its_own_condition():
    tap = "unet.down_blocks.0.attentions.0"  # before the first motion module that could spread a change
    backbone = Backbone.load(find_pipeline(NAME), taps=(tap,), conditions=(TEXT,), device="cpu")
    latents = torch.randn(4, FRAMES, 8, 12, generator=torch.manual_seed(0))
    tokens = backbone.denoiser.condition(TEXT, FRAMES, backbone.text("a red star"), None, None)
    other = tokens.clone()
    other[1] += 1
    level = backbone.process.parse(50)
    with torch.inference_mode():
        before, after = (backbone.features(latents, level, [one])[tap][0] for one in (tokens, other))
    assert torch.equal(before[[0, 2, 3]], after[[0, 2, 3]])
    assert not torch.allclose(before[1], after[1], atol=1e-3)


def test_every_condition_of_vdit_has_its_meaning():
    values = [
        features(find_model(NAME, adapter="random:0" if kind == "vd-it" else None), conditions=(kind,))
        for kind in ("vd-t", "vd-i", "vd-it", "concat")
    ]
    for i, one in enumerate(values):
        assert one.shape == (FRAMES, 64, 4, 6)
        assert not any(torch.equal(one, other) for other in values[:i])


def test_the_published_size():
    family = find_model("random:animatediff-sd15").family
    with torch.device("meta"):
        unet = make_network(family)
    motion = sum(p.numel() for name, p in unet.named_parameters() if "motion_modules" in name)
    assert sum(p.numel() for p in unet.parameters()) - motion == 859_520_964
    assert motion == 453_209_280
    assert family.shapes(("unet.up.1", "unet.up.1.0.k.7"), frames=16, height=512, width=512) == {
        "unet.up.1": (16, 1280, 32, 32),
        "unet.up.1.0.k.7": (16, 160, 16, 16),
    }
    assert family.expand_taps(None) == ("unet.up.1",)


def test_bad_input_teaches(two, tmp_path):
    root, _ = two
    with pytest.raises(ConfigError, match=r"clips\.frames \(=36\) is more than .*clips\.frames=32 or less"):
        find_model(NAME).specs(request(clips=ClipSampling(frames=36)))
    with pytest.raises(FeatureError, match=r"clip of 40 frames: .* at most 32"):
        find_model(NAME).family.shapes(("unet.mid",), frames=40, height=64, width=64)
    with pytest.raises(ModelError, match=r"is an image model .*: name a motion adapter after a \+"):
        find_model(str(root / "image")).specs(request())
    with pytest.raises(ModelError, match=r"no motion adapter 'nowhere'"):
        find_model(f"{root / 'image'}+nowhere")
    with pytest.raises(ModelError, match=r"has no part 'motion_adapter' .*does not exist"):
        find_model(f"{root / 'image'}+{tmp_path}").specs(request())
    diffusers.MotionAdapter(block_out_channels=(32, 64), motion_norm_num_groups=8).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"with its motion adapter cannot be laid out .*different number of blocks"):
        find_model(f"{root / 'image'}+{tmp_path}").specs(request())
