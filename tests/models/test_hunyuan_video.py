"""HunyuanVideo against the pipeline of diffusers, on tiny random networks, and at its published size on none."""

import json

import diffusers
import pytest
import torch
import torch.nn.functional as F
import transformers
from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE
from family_request import family_request
from tokenizers import Tokenizer, models

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.backbone import load_backbone
from vdprobe.models.diffusion.pipeline import Pipeline, find_pipeline
from vdprobe.models.hunyuan_video.family import HunyuanVideo
from vdprobe.models.hunyuan_video.text import TEMPLATE, check_tokenizer
from vdprobe.models.networks.weights import randomise
from vdprobe.models.registry import find_model
from vdprobe.models.transformer.denoiser import make_network, token_maps
from vdprobe.models.transformer.vae import TemporalVAE
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import LatentSampling

CPU = torch.device("cpu")
NAME = "random:tiny-hunyuan-video"
TEXT = "a red star moves left"
LONG = "a red star " * 30


def request(**changes):
    return family_request(16, **changes)


@pytest.fixture(scope="module")
def family():
    return find_model(NAME).family


@pytest.fixture(scope="module")
def text(family):
    return family.load_text(torch.float32, CPU)


def theirs(family, text, transformer):
    """Their pipeline of our parts."""
    return diffusers.HunyuanVideoPipeline(
        text_encoder=text.text_encoder,
        tokenizer=text.tokenizer,
        transformer=transformer,
        vae=diffusers.AutoencoderKLHunyuanVideo.from_config(family.pipeline.config("vae")),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=text.text_encoder_2,
        tokenizer_2=text.tokenizer_2,
    )


def test_the_template_is_theirs():
    assert DEFAULT_PROMPT_TEMPLATE["template"] == TEMPLATE


@pytest.mark.parametrize("prompt", [TEXT, "", "{braces}", LONG])
def test_texts_are_the_pipelines(family, text, prompt):
    """Both encoders, cropped where our tokenizer's template ends (Llama 3's has 95 tokens, as theirs assumes)."""
    pipeline = theirs(family, text, make_network(family))
    template = {"template": TEMPLATE, "crop_start": text.crop}
    hidden, pooled, mask = pipeline.encode_prompt(prompt, prompt_template=template)
    ours = text(prompt)
    assert torch.equal(ours.hidden, hidden[0])
    assert torch.equal(ours.mask, mask[0].bool())
    assert torch.equal(ours.pooled, pooled[0])
    assert ours.truncated == (prompt == LONG)
    assert bool(ours.facts) == (prompt == LONG)


def test_the_text_of_two_prompts_begins_after_the_crop(text):
    one = text.tokenizer(TEMPLATE.format("star")).input_ids
    assert text.tokenizer.decode(one[text.crop :], skip_special_tokens=True).startswith("star")


@pytest.mark.parametrize("guidance", [6.0, 1])
def test_a_step_of_their_pipeline_runs_the_same_forward(family, text, guidance, monkeypatch):
    """All arguments of the denoiser at the first step are those that we make of the same latents."""
    network = make_network(family).eval()
    randomise(network, 0, torch.float32, CPU)
    pipeline = theirs(family, text, network)
    pipeline.set_progress_bar_config(disable=True)
    calls = []
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda **arguments: calls.append(arguments) or forward(**arguments))
    latents = torch.randn(1, 4, 3, 4, 6, generator=torch.manual_seed(0))
    pipeline(
        prompt=TEXT,
        prompt_template={"template": TEMPLATE, "crop_start": text.crop},
        height=32,
        width=48,
        num_frames=9,
        num_inference_steps=1,
        guidance_scale=guidance,
        latents=latents,
        output_type="latent",
    )
    (call,) = calls
    settings = family.settings(request(settings={"guidance": guidance}))
    level = family.pipeline.process().level(float(call["timestep"][0]))
    ours = family.arguments(latents, level, [text(TEXT)], settings)
    assert ours.keys() == call.keys() - {"attention_kwargs"}
    for argument, value in ours.items():
        assert torch.equal(value, call[argument]) if isinstance(value, torch.Tensor) else value == call[argument]
    with torch.inference_mode():
        assert torch.equal(network(**ours)[0], network(**call)[0])


def test_guidance_is_told_in_the_precision_of_the_network(family, text):
    """As the pipeline tells it: 1000 times 6 is rounded where the network is in bfloat16."""
    level = family.pipeline.process().parse("s=0.3")
    latents = torch.zeros(1, 4, 1, 2, 2, dtype=torch.bfloat16)
    told = family.arguments(latents, level, [text(TEXT)], family.defaults)["guidance"]
    assert torch.equal(told, torch.tensor([6.0], dtype=torch.bfloat16) * 1000.0)


@pytest.mark.parametrize("taps", [("blocks.0.q", "blocks.1.k"), ("blocks.2.q", "blocks.3.k"), ("blocks.2.k.1",)])
def test_queries_and_keys_are_those_of_the_video(family, text, taps, monkeypatch):
    """Of the attention's products in a whole forward, without the text behind; also in the blocks of one stream."""
    settings = family.settings(request())
    backbone = load_backbone(family, taps, (), (), "float32", "cpu", settings)
    network = make_network(family).eval()
    randomise(network, family.pipeline.seed("transformer"), torch.float32, CPU)
    latents = torch.randn(4, 2, 4, 6, generator=torch.manual_seed(0))
    level, tokens = backbone.process.parse("s=0.3"), text(TEXT)
    calls = []
    original = F.scaled_dot_product_attention

    def counting(query, key, *rest, **options):
        calls.append((query, key))
        return original(query, key, *rest, **options)

    with torch.inference_mode():
        ours = backbone.features(latents, level, [tokens])
        monkeypatch.setattr(F, "scaled_dot_product_attention", counting)
        network(**family.arguments(latents[None], level, (tokens,), settings))
    blocks = calls[family.config["num_refiner_layers"] :]
    assert len(blocks) == family.blocks.count
    for tap in taps:
        _, block, kind, *head = tap.split(".")
        value = blocks[int(block)][kind == "k"][:, :, : 2 * 2 * 3]
        value = value[:, [int(head[0])]] if head else value
        expected = value.transpose(1, 2).flatten(2).unflatten(1, (2, 2, 3)).permute(0, 1, 4, 2, 3)
        assert torch.equal(ours[tap], expected)


def test_what_a_block_of_one_stream_gives_is_its_video(family):
    """Its output is a pair, and the names of blocks go on counting behind those of two streams."""
    assert family.blocks.module("blocks.1") == "transformer_blocks.1"
    assert family.blocks.module("blocks.2") == "single_transformer_blocks.0"
    assert family.blocks.module("blocks.3.q") == "single_transformer_blocks.1.attn"
    assert family.expand_taps(["transformer.single_transformer_blocks.1"]) == ("blocks.3",)
    video, words = torch.zeros(1, 12, 20), torch.zeros(1, 256, 20)
    assert token_maps(family, "blocks.2", (video, words), (2, 2, 3)).shape == (1, 2, 20, 2, 3)


def encoder(family, **settings):
    return TemporalVAE.load(family, {**family.defaults, "latent_frames": "native", **settings}, CPU)


def latents_of(loaded, pixels):
    clip = Clip("v", tuple(range(len(pixels))))
    with torch.inference_mode():
        return loaded.latents(loaded(pixels, posterior=True), LatentSampling(kind="mode"), clip)


def pixels(frames):
    return torch.rand(frames, 3, 32, 48, generator=torch.manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("frames", [1, 17, 33])
def test_latents_are_those_of_their_vae(family, frames):
    """With the tiles over frames that it has when it is loaded."""
    own = diffusers.AutoencoderKLHunyuanVideo.from_config(family.pipeline.config("vae")).eval()
    randomise(own, family.pipeline.seed("vae"), torch.float32, CPU)
    with torch.inference_mode():
        expected = own.encode(pixels(frames).transpose(0, 1)[None]).latent_dist.mode() * own.config.scaling_factor
    assert torch.equal(latents_of(encoder(family), pixels(frames)), expected[0])


def test_tiles_over_frames_change_latents_and_the_key(family):
    tiled, whole = (latents_of(encoder(family, vae_tile=tile), pixels(33)) for tile in (4, 0))
    assert tiled.shape == whole.shape == (4, 9, 4, 6)
    assert torch.equal(tiled[:, :1], latents_of(encoder(family), pixels(17))[:, :1])
    assert not torch.allclose(tiled, whole, atol=1e-3)
    model = find_model(NAME)
    keys = {model.specs(request(settings=settings))[0].key for settings in ({}, {"vae_tile": 0}, {"vae_step": 4})}
    assert len(keys) == 3


def test_it_is_not_causal(family):
    """A later frame of a tile changes the first latent, through the normalisation over all frames."""
    changed = pixels(9)
    changed[8] = 1
    first, second = (latents_of(encoder(family), frames)[:, 0] for frames in (pixels(9), changed))
    assert not torch.equal(first, second)
    assert not family.causal


def test_both_text_encoders_are_in_the_key():
    (spec,) = find_model(NAME).specs(request())
    assert {"text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"} < spec.model.parts.keys()


def test_published_size():
    model = HunyuanVideo(find_pipeline("random:hunyuan-video"))
    with torch.device("meta"):
        network = make_network(model)
        vae = diffusers.AutoencoderKLHunyuanVideo.from_config(model.pipeline.config("vae"))
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(12.821e9, rel=5e-4)
    assert (vae.temporal_compression_ratio, vae.spatial_compression_ratio) == (model.strides.group, model.strides.side)
    assert model.blocks.count == 60
    assert model.expand_taps(None) == ("blocks.16",)
    assert model.expand_taps(["difftrack"]) == ("blocks.16.q", "blocks.16.k")
    assert model.shapes(("blocks.16", "blocks.16.q"), frames=61, height=544, width=960) == {
        "blocks.16": (16, 3072, 34, 60),
        "blocks.16.q": (16, 3072, 34, 60),
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"guidance": -1.0}, r"settings\.guidance \(=-1\.0\) must be a number from 0 on, such as 6"),
        ({"guidance": float("inf")}, r"settings\.guidance \(=inf\) must be a number"),
        ({"vae_tile": -4}, r"settings\.vae_tile \(=-4\) must be 0 for a whole clip"),
        ({"vae_step": 5}, r"settings\.vae_step \(=5\) must be from 1 to settings\.vae_tile \(=4\)"),
        ({"vae_step": 0}, r"settings\.vae_step \(=0\) must be from 1"),
        ({"vae_tile": True}, r"settings\.vae_tile \(=True\) must be a int"),
        ({"guidanse": 6.0}, r"settings\.guidanse is no setting of .*guidance"),
    ],
)
def test_settings_that_cannot_be_meant(family, settings, message):
    with pytest.raises(ConfigError, match=message):
        family.settings(request(settings=settings))


def with_config(**changes):
    """The family of a transformer of another configuration."""

    class Changed(Pipeline):
        def config(self, part):
            return super().config(part) | (changes if part == "transformer" else {})

    pipeline = find_pipeline(NAME)
    return HunyuanVideo(Changed(pipeline.name, pipeline.folders, pipeline.random))


def test_a_model_without_guidance_has_no_such_setting():
    assert with_config(guidance_embeds=False).defaults == {"vae_tile": 4, "vae_step": 3}


@pytest.mark.parametrize("kind", ["latent_concat", "token_replace"])
def test_models_of_an_image_are_refused(kind):
    with pytest.raises(ModelError, match=f"makes videos of an image \\(image_condition_type {kind}\\)"):
        assert with_config(image_condition_type=kind).blocks


def test_tokenizers_that_do_not_fit_are_refused():
    plain = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(ModelError, match="must pad on the right with a token of its own"):
        check_tokenizer(plain, 10, NAME)
    plain.pad_token = "a"
    check_tokenizer(plain, 10, NAME)
    with pytest.raises(ModelError, match="its tokenizer has 1 tokens, its text encoder 0"):
        check_tokenizer(plain, 0, NAME)
    plain.padding_side = "left"
    with pytest.raises(ModelError, match="padding_side left"):
        check_tokenizer(plain, 10, NAME)


def test_a_second_text_encoder_that_is_missing_is_named(tmp_path):
    family = find_model(NAME).family
    for part in ("transformer", "vae", "scheduler"):
        (tmp_path / part).mkdir()
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        (tmp_path / part / name).write_text(json.dumps(family.pipeline.config(part)))
    found = find_model(str(tmp_path)).family
    with pytest.raises(ModelError, match="has no part 'text_encoder'"):
        found.load_text(torch.float32, CPU)
    found.pipeline.folders["text_encoder"] = tmp_path / "text_encoder"
    family.load_text(torch.float32, CPU).text_encoder.save_pretrained(tmp_path / "text_encoder")
    family.load_text(torch.float32, CPU).tokenizer.save_pretrained(tmp_path / "tokenizer")
    with pytest.raises(ModelError, match="has no part 'text_encoder_2'"):
        find_model(str(tmp_path)).family.load_text(torch.float32, CPU)
