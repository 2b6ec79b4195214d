"""What every family of diffusion models must do, on tiny random networks: a new family is one name here."""

import json

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vdprobe.data.resize import PreparedFrames
from vdprobe.errors import ModelError
from vdprobe.models.diffusion.backbone import load_backbone
from vdprobe.models.diffusion.diffusion_clip import LoadedDiffusion
from vdprobe.models.diffusion.noise import add_noise
from vdprobe.models.diffusion.pipeline import DENOISERS
from vdprobe.models.families import ARCHITECTURES, FAMILIES, architecture, load_object
from vdprobe.models.networks.tapped import first_of
from vdprobe.models.networks.weights import randomise
from vdprobe.models.registry import find_model
from vdprobe.models.transformer.denoiser import make_network, token_grid, token_maps
from vdprobe.models.transformer.experts import Experts
from vdprobe.models.transformer.family import VideoTransformer
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import Condition, FeatureSpec, Item
from vdprobe.specs.noise_level import CLEAN
from vdprobe.specs.request import FeatureRequest
from vdprobe.specs.spans import is_frame_by_frame
from vdprobe.specs.video import ClipSampling, Resize

TINY = [f"random:{name}" for name in ARCHITECTURES if name.startswith("tiny")]
TRANSFORMERS = [name for name in TINY if isinstance(find_model(name).family, VideoTransformer)]
TEXT = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
OWN_FOLDERS = ("random:tiny-wan2.2-a14b", "random:tiny-cosmos-predict2")
"""Those whose folders hold more than a denoiser as it is made; their own tests read them."""
CPU = torch.device("cpu")
FRAMES = 7
TEXTS = ("a red star moves left", "two blue circles")


def side(family, sides=(2, 3)):
    """(height, width) of frames with few places, not as many in each direction."""
    place = family.strides.place if isinstance(family, VideoTransformer) else 32
    return 2 * place * sides[0] // 2, 2 * place * sides[1] // 2


def request(family, **changes):
    place = family.strides.place if isinstance(family, VideoTransformer) else 8
    values = {
        "clips": ClipSampling(),
        "resize": Resize(multiple=place * 8 if place % 8 else place),
        "lighting": None,
        "taps": None,
        "conditions": ("vd-t",),
        "noises": ("gaussian",),
        "timesteps": ("s=0.3",),
        "latents": "mode",
        "seed": 0,
        "compute_dtype": "float32",
        "store_dtype": "float32",
    }
    return FeatureRequest(**values | changes)


def pixels(family, frames=FRAMES):
    return np.random.default_rng(0).uniform(-1, 1, (frames, 3, *side(family))).astype(np.float32)


def loaded(name, **changes):
    """The model and its specs of a request, with their taps."""
    model = find_model(name)
    specs = model.specs(request(model.family, **changes))
    return model, specs, model.load(specs, "cpu")


def run(name, frames=FRAMES, texts=TEXTS[:1], values=None, **changes):
    """Tap to (item, map, channel, height, width), and tap to place, of a clip under one level."""
    model, specs, weights = loaded(name, **changes)
    values = pixels(model.family, frames) if values is None else values
    clip = Clip("video", tuple(range(frames)))
    encoded = weights.encode(clip, PreparedFrames(values, values.shape[2:], values.shape[2:]), specs)
    out, places = {}, {}
    with torch.inference_mode():
        for spec in specs:
            items = [
                Item(video="video", digest="0", frames=clip.frames, text=text if spec.uses_text else None)
                for text in (texts if spec.uses_text else texts[:1])
            ]
            for timestep in spec.timesteps or (None,):
                out |= encoded.features(spec, items, timestep)
    for tap, value in out.items():
        places[tap] = encoded.place(tap, tuple(value.shape[1:]))
    return out, places


def some_taps(family):
    if not isinstance(family, VideoTransformer):
        return ("unet.down.0", "unet.up.0", "vae.down.0", "vae.latents")
    last = family.blocks.count - 1
    return f"blocks.{last - 1}", "blocks.0", "blocks.1.q", "blocks.0.k", "blocks.0.q.1", "vae.latents"


@pytest.mark.parametrize("name", TINY)
def test_its_class_leads_to_it(name):
    model = find_model(name)
    assert type(model.family) is load_object(FAMILIES[model.pipeline.denoiser_class])
    assert model.family.expand_taps(None)


@pytest.mark.parametrize("name", TINY)
def test_shapes_are_told_without_weights(name):
    family = find_model(name).family
    taps = some_taps(family)
    found, places = run(name, taps=taps)
    height, width = side(family)
    told = family.shapes(taps, frames=FRAMES, height=height, width=width)
    assert {tap: tuple(value.shape[1:]) for tap, value in found.items()} == told
    assert set(found) == set(taps)
    for tap, value in found.items():
        assert value.isfinite().all()
        assert value.std() > 1e-4
        assert len(places[tap].spans) == value.shape[1]
        assert places[tap].spans[-1][1] == FRAMES
        assert value.shape[3] * places[tap].stride == height
    layers = {layer.tap: layer for layer in family.layers(frames=FRAMES, height=height, width=width, every_step=True)}
    for tap in set(taps) & layers.keys():
        assert (layers[tap].shape, layers[tap].stride, layers[tap].spans) == (
            told[tap],
            places[tap].stride,
            places[tap].spans,
        )
    reached = [layer.reached for layer in layers.values() if layer.reached is not None]
    assert reached == sorted(reached)
    assert 0 < reached[0] <= reached[-1] <= 1


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_taps_equal_hooks_on_the_whole_forward(name):
    """To the bit, though less is computed and fewer weights are there."""
    family = find_model(name).family
    taps = tuple(tap for tap in some_taps(family) if not tap.startswith("vae."))
    settings = family.settings(request(family))
    backbone = load_backbone(family, taps, (), (), "float32", "cpu", settings)
    text = family.load_text(torch.float32, CPU)(TEXTS[0])
    latents = torch.randn(
        int(family.latent_channels),
        3,
        *(s // family.strides.side for s in side(family)),
        generator=torch.manual_seed(0),
    )
    level = backbone.process.parse("s=0.3")
    caught = {}
    whole = make_network(family).eval()
    part = family.denoiser_at(level)
    randomise(whole, family.pipeline.seed(part), torch.float32, CPU)
    with torch.inference_mode():
        ours = backbone.features(latents, level, [text])
        for path in {family.blocks.module(tap) for tap in taps if tap.count(".") == 1}:
            whole.get_submodule(path).register_forward_hook(
                lambda _m, _i, out, path=path: caught.__setitem__(path, out)
            )
        whole(**family.arguments(latents[None], level, (text,), settings))
    grid = token_grid(family, latents.shape[1:])
    for tap in taps:
        if tap.count(".") == 1:
            assert torch.equal(ours[tap], token_maps(family, tap, first_of(caught[family.blocks.module(tap)]), grid))
    denoiser = backbone.denoiser
    if isinstance(denoiser, Experts):
        assert set(denoiser.loaded) == {part}
        denoiser = denoiser.loaded[part]
    assert any(p.device.type == "meta" for p in denoiser.network.parameters())


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_only_the_tensors_before_the_last_tap_are_read(name, tmp_path, monkeypatch):
    """From files as they are published, in shards: those of later blocks are not opened for their values."""
    from vdprobe.models.networks import weights

    family = find_model(name).family
    network = make_network(family).eval()
    randomise(network, 0, torch.float32, CPU)
    save_file({n: t.contiguous() for n, t in network.state_dict().items()}, tmp_path / "all.safetensors")
    read = []
    original = weights.read_tensors

    def counting(path, names):
        for found in original(path, names):
            read.append(found[0])
            yield found

    monkeypatch.setattr(weights, "read_tensors", counting)
    monkeypatch.setattr(type(family.pipeline), "seed", lambda self, part: None)
    monkeypatch.setattr(type(family.pipeline), "weight_files", lambda self, part: (tmp_path / "all.safetensors",))
    from vdprobe.models.transformer.denoiser import TransformerDenoiser

    settings = family.settings(request(family))
    TransformerDenoiser.load(family, ("blocks.0",), settings, torch.float32, CPU)
    first, second = family.blocks.module("blocks.0"), family.blocks.module("blocks.1")
    assert any(one.startswith(f"{first}.") for one in read)
    assert not any(one.startswith(f"{second}.") for one in read)
    assert len(read) < len(network.state_dict())


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_moved_latent_moves_its_own_place_most(name):
    family = find_model(name).family
    settings = family.settings(request(family))
    backbone = load_backbone(family, ("blocks.0",), (), (), "float32", "cpu", settings)
    text = family.load_text(torch.float32, CPU)(TEXTS[0])
    shape = (family.latent_channels, 4, *(2 * s // family.strides.side for s in side(family)))
    latents = torch.randn(shape, generator=torch.manual_seed(0))
    moved = latents.clone()
    place = (2, shape[2] - 1, 1)
    moved[(slice(None), *place)] += 3
    with torch.inference_mode():
        level = backbone.process.parse(CLEAN)
        one, two = (backbone.features(z, level, [text])["blocks.0"][0] for z in (latents, moved))
    change = (one - two).square().sum(1)
    expected = tuple(p // step for p, step in zip(place, family.strides.patch, strict=True))
    assert np.unravel_index(int(change.argmax()), change.shape) == expected


@pytest.mark.parametrize("name", TINY)
def test_a_text_in_a_batch_is_what_it_is_alone(name):
    taps = some_taps(find_model(name).family)
    both, _ = run(name, texts=TEXTS, taps=taps)
    for row, text in enumerate(TEXTS):
        alone, _ = run(name, texts=(text,), taps=taps)
        for tap, value in alone.items():
            if len(both[tap]) == len(TEXTS):
                torch.testing.assert_close(both[tap][row], value[0], rtol=1e-4, atol=1e-5)
            else:
                assert torch.equal(both[tap], value)


@pytest.mark.parametrize("name", TINY)
def test_texts_matter_and_runs_repeat(name):
    taps = [tap for tap in some_taps(find_model(name).family) if not tap.startswith("vae.")][:1]
    first, again, other = (run(name, texts=(text,), taps=taps)[0][taps[0]] for text in (TEXTS[0], *TEXTS))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_bfloat16_stays_close(name):
    """In one type throughout: what is told of noise, positions and masks do not meet tensors of another."""
    taps = ("blocks.1", "blocks.1.q")
    whole, half = (run(name, taps=taps, compute_dtype=dtype)[0] for dtype in ("float32", "bfloat16"))
    for tap in taps:
        difference = (whole[tap] - half[tap].float()).norm() / whole[tap].norm()
        assert difference < 0.1  # a bfloat16 has 8 bits; HunyuanVideo's tiny network is off by 0.063, others by 0.01


@pytest.mark.parametrize("name", TINY)
def test_clean_is_without_noise(name):
    """At the clean level noise makes no difference, whatever its kind."""
    taps = [tap for tap in some_taps(find_model(name).family) if not tap.startswith("vae.")][:1]
    with_noise, without = (run(name, taps=taps, timesteps=(CLEAN,), noises=(kind,))[0] for kind in ("gaussian", "none"))
    for tap, value in with_noise.items():
        assert torch.equal(value, without[tap])


@pytest.mark.parametrize("name", TINY)
def test_inverted_noise_is_drawn_from_nothing(name):
    """It depends on no seed, leaves the clean level as it is, and has its steps in the key."""
    family = find_model(name).family
    taps = [tap for tap in some_taps(family) if not tap.startswith("vae.")][:1]
    options = {"taps": taps, "noises": ("inverted",), "inversion_steps": 3, "timesteps": ("s=0.5",)}
    first, other_seed = (run(name, **options, seed=seed)[0][taps[0]] for seed in (0, 1))
    assert torch.equal(first, other_seed)
    gaussian = run(name, **options | {"noises": ("gaussian",)})[0][taps[0]]
    assert not torch.equal(first, gaussian)
    specs = [find_model(name).specs(request(family, **options | {"inversion_steps": n}))[-1] for n in (3, 4)]
    assert specs[0].key != specs[1].key
    assert "text_encoder" in specs[0].model.parts


@pytest.mark.parametrize("name", TINY)
def test_noise_has_the_share_that_the_level_says(name):
    model, specs, weights = loaded(name)
    level = model.levels(("s=0.3",))[0]
    latents = torch.zeros(4, 3, 2, 2, dtype=torch.float64)
    noisy = add_noise(latents + 1, torch.full_like(latents, 2), level)
    assert isinstance(weights, LoadedDiffusion)
    assert torch.allclose(noisy, torch.full_like(noisy, level.signal + 2 * level.amount))
    assert level.s == pytest.approx(0.3, abs=2e-3)
    assert all(isinstance(spec, FeatureSpec) for spec in specs)


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.parametrize("mode", ["native", "frame-as-latent"])
def test_spans_say_which_frames_a_map_has_seen(name, mode):
    """A causal VAE's map changes with a frame of its span and none before it; alone, with its own frame only."""
    family = find_model(name).family
    values = pixels(family)
    before, places = run(name, values=values, taps=("vae.latents",), latent_frames=mode)
    spans = places["vae.latents"].spans
    assert is_frame_by_frame(spans) == (mode == "frame-as-latent")
    for frame in (0, FRAMES - 1):
        changed = values.copy()
        changed[frame] += 0.5
        after, _ = run(name, values=changed, taps=("vae.latents",), latent_frames=mode)
        moved = [
            i for i in range(len(spans)) if not torch.equal(before["vae.latents"][0, i], after["vae.latents"][0, i])
        ]
        (own,) = (i for i, (start, end) in enumerate(spans) if start <= frame < end)
        assert own in moved
        if mode == "frame-as-latent":
            assert moved == [own]
        elif family.causal:
            assert min(moved) == own


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_an_incomplete_group_is_filled_with_its_last_frame(name):
    family = find_model(name).family
    group = family.strides.group
    values = pixels(family, frames=2)
    filled = np.concatenate([values, *([values[-1:]] * (group - 1))])
    short, _ = run(name, frames=2, values=values, taps=("vae.latents",))
    whole, _ = run(name, frames=group + 1, values=filled, taps=("vae.latents",))
    assert torch.equal(short["vae.latents"], whole["vae.latents"])


@pytest.mark.parametrize("name", TINY)
def test_every_part_is_in_the_key(name):
    model = find_model(name)
    (spec,) = [spec for spec in model.specs(request(model.family)) if spec.condition is not None]
    levels = model.levels(spec.timesteps)
    assert set(spec.model.parts) == set(model.family.parts_at(spec.condition, levels))
    assert set(spec.model.parts) <= {*model.family.parts(spec.condition), *DENOISERS}
    keys = {spec.key}
    variants = [{"seed": 1}, {"timesteps": ("s=0.4",)}, {"noises": ("none",)}, {"latents": "sample"}]
    if isinstance(model.family, VideoTransformer):
        variants.append({"latent_frames": "frame-as-latent"})
        variants += [
            {"settings": {setting: value + 1}}
            for setting, value in model.family.defaults.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
    for changes in variants:
        keys.add(model.specs(request(model.family, **changes))[-1].key)
    assert len(keys) == len(variants) + 1


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_an_architecture_names_its_parts(name):
    parts = architecture(name)
    assert {"vae", "scheduler"} <= parts.keys()
    assert {"unet", "transformer"} & parts.keys()


def saved_pipeline(name, folder):
    """The parts of a pipeline with random weights, as diffusers and transformers save them."""
    family = find_model(name).family
    pipeline = family.pipeline
    parts = {
        pipeline.denoiser: make_network(family).eval(),
        "vae": getattr(diffusers, family.vae_class).from_config(pipeline.config("vae")).eval(),
    }
    for part, network in parts.items():
        randomise(network, pipeline.seed(part), torch.float32, CPU)
    text = family.load_text(torch.float32, CPU)
    for part in set(TEXT) & set(family.parts(Condition(kind="vd-t", form="raw"))):
        parts[part] = getattr(text, part if hasattr(text, part) else "model")
    for part, one in parts.items():
        one.save_pretrained(folder / part)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(pipeline.config("scheduler")))
    return str(folder)


@pytest.mark.parametrize("name", [name for name in TRANSFORMERS if name not in OWN_FOLDERS])
def test_a_saved_pipeline_gives_what_its_parts_give(name, tmp_path):
    """Published models are read from such folders; a part that lacks a tensor is refused."""
    taps = some_taps(find_model(name).family)
    folder = saved_pipeline(name, tmp_path)
    drawn, read = run(name, taps=taps)[0], run(folder, taps=taps)[0]
    for tap, value in drawn.items():
        torch.testing.assert_close(value, read[tap], rtol=1e-4, atol=1e-5)  # weights lie elsewhere in memory
    for file in (*tmp_path.glob("text_encoder*/*.safetensors"), *tmp_path.glob("vae/*.safetensors")):
        whole = load_file(file)
        own = [one for one in whole if one.endswith("weight") and not one.startswith("decoder.")]
        lost = next(one for one in own if "layer" in one or "block" in one or "conv_in" in one)
        save_file({n: t for n, t in whole.items() if n != lost}, file, {"format": "pt"})
        with pytest.raises(ModelError, match="lacks 1 tensors, such as"):
            run(folder, taps=taps)
        save_file(whole, file, {"format": "pt"})
