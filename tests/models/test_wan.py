"""Wan against diffusers' own pipelines, its experts, and its published sizes."""

import json
from dataclasses import replace

import diffusers
import pytest
import torch
from accelerate import init_empty_weights
from family_request import family_request

from vdprobe.data.resize import PreparedFrames
from vdprobe.errors import FeatureError, ModelError
from vdprobe.models.diffusion.adapter import make_adapter
from vdprobe.models.diffusion.adapter_set import open_adapter
from vdprobe.models.diffusion.backbone import load_backbone
from vdprobe.models.diffusion.family import family_of
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.models.diffusion.tokens import ImageTokens, TextTokens
from vdprobe.models.networks.weights import randomise
from vdprobe.models.registry import find_model
from vdprobe.models.transformer.denoiser import TransformerDenoiser, make_network, token_maps
from vdprobe.models.transformer.frame_tokens import FrameTexts
from vdprobe.models.transformer.shapes import tap_shapes
from vdprobe.models.transformer.vae import TemporalVAE
from vdprobe.models.wan import clean_text
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import Condition, Item, LatentSampling
from vdprobe.specs.noise_level import CLEAN
from vdprobe.specs.video import Resize

CPU = torch.device("cpu")
TINY = "random:tiny-wan"
A14B = "random:tiny-wan2.2-a14b"
CLIP = Clip("video", tuple(range(5)))


def family(name=TINY):
    return family_of(find_pipeline(name))


def request(**changes):
    return family_request(16, **{"taps": ("blocks.1", "vae.latents")} | changes)


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
    vae = TemporalVAE.load(wan, {}, CPU)
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


def save_parts(folder, name):
    """The parts of a random pipeline as they are published, each in its folder."""
    pipeline = find_pipeline(name)
    wan = family_of(pipeline)
    reader = wan.load_text(torch.float32, CPU)
    for part in ("transformer", "transformer_2"):
        if pipeline.has(part):
            whole(wan, part).save_pretrained(folder / part)
    vae = diffusers.AutoencoderKLWan.from_config(pipeline.config("vae"))
    randomise(vae, pipeline.seed("vae"), torch.float32, CPU)
    vae.save_pretrained(folder / "vae")
    reader.model.save_pretrained(folder / "text_encoder")
    reader.tokenizer.save_pretrained(folder / "tokenizer")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(pipeline.config("scheduler")))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline", **pipeline.index}))
    return str(folder)


@pytest.mark.parametrize("name", [TINY, A14B, "random:tiny-wan2.2-5b"])
def test_a_folder_as_it_is_published_gives_the_same(name, tmp_path):
    """Configurations, names of tensors, tokenizer and index are found where diffusers leaves them."""
    out = {}
    for source in (name, save_parts(tmp_path, name)):
        wan = family(source)
        changes = {"resize": Resize(multiple=wan.strides.place)}
        specs = find_model(source).specs(request(**changes))
        loaded = find_model(source).load(specs, "cpu")
        pixels = torch.rand(5, 3, 64, 96, generator=torch.manual_seed(0)).mul(2).sub(1).numpy()
        encoded = loaded.encode(CLIP, PreparedFrames(pixels, (64, 96), (64, 96)), specs)
        with torch.inference_mode():
            for spec in specs:
                text = "a red star" if spec.uses_text else None
                item = Item(video="video", digest="0", frames=CLIP.frames, text=text)
                for timestep in spec.timesteps or (None,):
                    for tap, value in encoded.features(spec, [item], timestep).items():
                        out.setdefault(tap, []).append(value)
    for tap, (drawn, read) in out.items():
        # Products of tensors that lie elsewhere in memory may differ in their last bits.
        torch.testing.assert_close(drawn, read, rtol=1e-4, atol=1e-5, msg=tap)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("num_layers"), "config.json: num_layers is None, it must be a whole number"),
        (lambda c: c.update(num_attention_heads="many"), "config.json: num_attention_heads is many, it must be"),
        (lambda c: c.pop("patch_size"), "config.json does not say patch_size; is the download complete"),
        (lambda c: c.update(attention_head_dim="many"), "'transformer' of model .* cannot be laid out"),
        (lambda c: c.update(_class_name="WanVACETransformer3DModel"), "of class WanVACETransformer3DModel, and known"),
    ],
)
def test_a_damaged_configuration_is_told(change, message, tmp_path):
    folder = published(tmp_path, None, ("transformer",))
    path = tmp_path / "transformer" / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=message):
        tap_shapes(family(folder), ("blocks.1",), frames=5, height=32, width=32)


def test_an_image_to_video_model_is_told(tmp_path):
    """Its transformer takes a mask and a first frame beside the latents."""
    folder = published(tmp_path, None, ("transformer",))
    path = tmp_path / "transformer" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"in_channels": 36}))
    message = "takes 36 channels and its VAE makes 16: .*take a text-to-video model"
    with pytest.raises(ModelError, match=message):
        find_model(folder).specs(request())
    with pytest.raises(ModelError, match=message):
        find_model(folder).layers(frames=5, height=32, width=32)


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
    weights = [one.network.blocks[0].attn1.to_q.weight for one in backbone.denoiser.loaded.values()]
    assert not torch.equal(*weights)  # drawn apart, too


def test_the_key_names_the_experts_and_where_they_part():
    parts = {}
    for name, levels in (("low", ("s=0.3",)), ("high", ("s=0.9",)), ("both", ("s=0.3", "s=0.9"))):
        _, spec = experts(timesteps=levels)
        parts[name] = {part for part in spec.model.parts if part.startswith("transformer")}
        assert spec.settings["boundary_ratio"] == 0.875
    assert parts == {"low": {"transformer_2"}, "high": {"transformer"}, "both": {"transformer", "transformer_2"}}
    latents_specs = {find_model(A14B).specs(request(timesteps=(level,)))[0].key for level in ("s=0.3", "s=0.9")}
    assert len(latents_specs) == 1


def test_an_inversion_goes_through_the_experts_below_its_level():
    """It begins at clean latents: the expert of the low levels makes the noise of a high one too."""
    parts = {}
    for level in ("s=0.3", "s=0.9"):
        _, spec = experts(timesteps=(level,), noises=("inverted",))
        parts[level] = {part for part in spec.model.parts if part.startswith("transformer")}
    assert parts == {"s=0.3": {"transformer_2"}, "s=0.9": {"transformer", "transformer_2"}}
    model = find_model(A14B)
    (_, spec) = model.specs(request(timesteps=("s=0.9",), noises=("inverted",), inversion_steps=2))
    loaded = model.load((spec,), "cpu")
    pixels = torch.rand(5, 3, 32, 48, generator=torch.manual_seed(0)).mul(2).sub(1).numpy()
    with torch.inference_mode():
        encoded = loaded.encode(CLIP, PreparedFrames(pixels, (32, 48), (32, 48)), [spec])
        item = Item(video="video", digest="0", frames=CLIP.frames, text="a red star")
        assert encoded.features(spec, [item], spec.timesteps[0])["blocks.1"].isfinite().all()
    assert set(loaded.backbone.denoiser.loaded) == {"transformer", "transformer_2"}


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


# Tokens of their own for latent frames.


def projected(wan):
    """A loaded transformer with the blocks 0 and 2 tapped, its reader, noisy latents and a level."""
    backbone = load_backbone(wan, ("blocks.0", "blocks.2"), (), (), "float32", "cpu", {})
    reader = wan.load_text(torch.float32, CPU)
    return backbone, reader, latents(wan), backbone.process.parse("s=0.3")


@pytest.mark.parametrize("name", [TINY, A14B])
def test_one_text_for_all_frames_is_that_text_on_each(name):
    """To the bit, though the queries of each frame attend apart."""
    backbone, reader, noisy, level = projected(family(name))
    with torch.inference_mode():
        text = reader("a red star moves left")
        shared = backbone.features(noisy, level, [text])
        apart = backbone.features(noisy, level, [FrameTexts((text,) * 3)])
        after = backbone.features(noisy, level, [text])
    for tap, value in shared.items():
        assert (value - apart[tap]).abs().max() == 0.0
        assert torch.equal(value, after[tap])


def test_another_text_on_one_frame_moves_that_frame_alone_at_first():
    """After the first block's cross-attention; later the self-attention takes it to the others."""
    backbone, reader, noisy, level = projected(family())
    with torch.inference_mode():
        text, other = reader("a red star moves left"), reader("two blue circles")
        shared = backbone.features(noisy, level, [text])
        mixed = backbone.features(noisy, level, [FrameTexts((other, text, text))])
    change = (mixed["blocks.0"] - shared["blocks.0"]).abs().amax(dim=(0, 2))
    assert (change[[1, 2]] == 0).all()
    assert (change[0] > 0).all()
    assert ((mixed["blocks.2"] - shared["blocks.2"]).abs().amax(dim=(0, 2)) > 0).all()


def test_frame_texts_of_clips_of_a_batch_are_kept_apart():
    backbone, reader, noisy, level = projected(family())
    with torch.inference_mode():
        one, two = reader("a red star"), reader("two blue circles")
        sets = FrameTexts((one, two, one)), FrameTexts((two, two, one))
        both = backbone.features(noisy, level, sets)
        for row, single in enumerate(sets):
            for tap, value in backbone.features(noisy, level, [single]).items():
                torch.testing.assert_close(both[tap][row], value[0], rtol=1e-4, atol=1e-5)


def test_frame_texts_must_be_one_for_each_latent_frame():
    backbone, reader, noisy, level = projected(family())
    with torch.inference_mode(), pytest.raises(FeatureError, match="2 sets of tokens are given for 3 latent frames"):
        backbone.features(noisy, level, [FrameTexts((reader("a"),) * 2)])


def features(name, condition, pixels, adapter="random:0", text=None, mode="native", timesteps=("s=0.3",)):
    """(features of blocks.0, spec) of a clip under a condition, as an extraction gets them."""
    model = find_model(name, adapter=adapter)
    changes = {"conditions": (condition,), "taps": ("blocks.0",), "latent_frames": mode, "timesteps": timesteps}
    (spec,) = model.specs(request(**changes))
    clip = Clip("video", tuple(range(len(pixels))))
    with torch.inference_mode():
        encoded = model.load((spec,), "cpu").encode(clip, PreparedFrames(pixels, (32, 48), (32, 48)), [spec])
        item = Item(video="video", digest="0", frames=clip.frames, text=text)
        return encoded.features(spec, [item], spec.timesteps[0])["blocks.0"][0], spec


def frames(count=9):
    return torch.rand(count, 3, 32, 48, generator=torch.manual_seed(0)).mul(2).sub(1).numpy()


@pytest.mark.parametrize("condition", ["vd-i", "vd-it", "concat", "vd-t"])
@pytest.mark.parametrize("name", [TINY, A14B])
def test_conditions_through_an_adapter(name, condition):
    text = None if condition == "vd-i" else "a red star"
    value, spec = features(name, condition, frames(), text=text)
    assert value.shape == (3, 24, 2, 3)
    assert value.isfinite().all()
    assert spec.condition.form == "adapter"
    assert spec.condition.frame == (None if condition == "vd-t" else "last")
    other, another = features(name, condition, frames(), adapter="random:1", text=text)
    assert not torch.equal(value, other)
    assert spec.key != another.key
    if text is not None:
        assert not torch.equal(value, features(name, condition, frames(), text="two circles")[0])


def test_an_adapter_works_behind_the_caption_projection():
    """The text of vd-t is projected, then adapted: what the adapter gives for it is what the cross-attention sees."""
    wan = family()
    adapter = open_adapter("random:0", wan)
    assert adapter.text_projection.linear1.in_features == wan.token_width == 24
    assert adapter.image_projection.linear1.in_features == 20
    backbone, reader, noisy, level = projected(wan)
    condition = Condition(kind="vd-t", form="adapter", adapter="x")
    seen = {}
    attention = backbone.denoiser.network.blocks[0].attn2
    attention.to_k.register_forward_pre_hook(lambda _m, given: seen.update(tokens=given[0]))
    with torch.inference_mode():
        text = reader("a red star")
        tokens = backbone.denoiser.condition(condition, 9, text, None, adapter.eval())
        backbone.features(noisy, level, [tokens])
        expected = adapter.text_projection(backbone.denoiser.network.condition_embedder.text_embedder(text.hidden))
    assert torch.equal(seen["tokens"], expected[None])


@pytest.mark.parametrize(("mode", "shown"), [("native", (0, 4, 6)), ("frame-as-latent", tuple(range(7)))])
def test_a_latent_frame_sees_the_image_of_its_last_frame(mode, shown):
    """Of the frames that a latent stands for only the last one's picture is looked at, of each its own."""
    wan = family()
    adapter = open_adapter("random:0", wan).eval()
    tokens = torch.randn(7, 5, 20, generator=torch.manual_seed(0))
    condition = Condition(kind="vd-i", form="adapter", adapter="x", frame="last")
    backbone = load_backbone(wan, ("blocks.0",), (), (), "float32", "cpu", {"latent_frames": mode})
    with torch.inference_mode():
        made = backbone.denoiser.condition(condition, 7, None, ImageTokens(tokens, tokens), adapter)
        assert torch.equal(made.tokens(lambda text: text), adapter.image_projection(tokens[list(shown)]))


def test_conditions_without_an_adapter_are_told():
    model = find_model(TINY)
    for condition in ("vd-i", "vd-it", "concat"):
        with pytest.raises(ModelError, match=rf"'{condition}' of .* needs an adapter with image_projection.*random:0"):
            model.specs(request(conditions=(condition,)))
    assert model.specs(request())[-1].condition == Condition(kind="vd-t", form="raw")


def test_an_image_encoder_that_is_missing_is_told(tmp_path):
    folder = published(tmp_path, None, ("transformer",))
    with pytest.raises(ModelError, match="has no part 'image_encoder': give --image-encoder FOLDER"):
        open_adapter("random:0", family(folder))
    whole, without = open_adapter("random:0", family()), open_adapter("random:0", family(folder), image=False)
    assert without.image_projection is without.text_image_attention is None
    assert whole.noise_predictor.conv.in_channels == without.noise_predictor.conv.in_channels == 16


@pytest.mark.parametrize(
    ("widths", "condition", "message"),
    [
        ({"width": 16}, "vd-i", "the adapter's output have width 16, the cross-attention's is 24"),
        ({"image_width": 32}, "vd-i", "the adapter's input have width 32, the image encoder's is 20"),
        ({"width": 16}, "vd-t", r"text tokens of the adapter \(vd-t\) have width 16, the cross-attention's is 24"),
        ({"latent_channels": 4}, "vd-t", "latent channels of the adapter have width 4, the model's is 16"),
    ],
)
def test_an_adapter_of_another_model_is_told(widths, condition, message, tmp_path):
    path = tmp_path / "adapter.safetensors"
    make_adapter(**{"width": 24, "image_width": 20, "latent_channels": 16} | widths).save(path)
    model = find_model(TINY, adapter=str(path))
    specs = model.specs(request(conditions=(condition,)))
    with pytest.raises(ModelError, match=message):
        model.load(specs, "cpu")


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
