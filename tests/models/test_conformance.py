"""What every family of diffusion models must do, on tiny random networks: a new family is one name here."""

import json

import diffusers
import numpy as np
import pytest
import torch
from family_request import family_request
from safetensors.torch import load_file, save_file

from vdprobe.data.resize import PreparedFrames
from vdprobe.errors import ModelError
from vdprobe.models.diffusion.diffusion_clip import LoadedDiffusion
from vdprobe.models.diffusion.noise import add_noise
from vdprobe.models.diffusion.pipeline import DENOISERS
from vdprobe.models.families import ARCHITECTURES, FAMILIES, architecture, load_object
from vdprobe.models.networks.tapped import first_of
from vdprobe.models.networks.weights import randomise
from vdprobe.models.registry import find_model
from vdprobe.models.transformer import denoiser as transformer
from vdprobe.models.transformer.denoiser import token_grid, token_maps
from vdprobe.models.transformer.experts import Experts
from vdprobe.models.transformer.family import VideoTransformer
from vdprobe.models.unet import denoiser as unet
from vdprobe.models.unet.family import LATENT_STRIDE, VideoUNet
from vdprobe.models.unet.maps import frame_maps, level_sizes
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import Condition, FeatureSpec, Item
from vdprobe.specs.noise_level import CLEAN
from vdprobe.specs.spans import is_frame_by_frame
from vdprobe.specs.video import ClipSampling

TINY = [f"random:{name}" for name in ARCHITECTURES if name.startswith("tiny")]
TRANSFORMERS = [name for name in TINY if isinstance(find_model(name).family, VideoTransformer)]
TAPPED = [name for name in TINY if isinstance(find_model(name).family, VideoTransformer | VideoUNet)]
"""Those whose network is diffusers' own, tapped."""
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


def native(family):
    """The first condition that has a meaning for a family."""
    for kind in ("vd-t", "concat", "vd-i"):
        try:
            family.resolve_condition(kind, {})
        except ModelError:
            continue
        return kind
    raise AssertionError("no condition has a meaning")


TEXTUAL = [name for name in TINY if native(find_model(name).family) != "vd-i"]


def request(family, **changes):
    place = family.strides.place if isinstance(family, VideoTransformer) else 8
    usual = {"clips": ClipSampling(frames=FRAMES), "conditions": (native(family),)}
    return family_request(place * 8 if place % 8 else place, **usual | changes)


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


def engine(family):
    """The module of the denoisers of its kind."""
    return transformer if isinstance(family, VideoTransformer) else unet


def part_at(family, level):
    """The part that denoises at a level."""
    return family.denoiser_at(level) if isinstance(family, VideoTransformer) else family.pipeline.denoiser


def prepared(name, scale=1, **changes):
    """A family, its backbone, three frames of latents, what a forward of them looks at, and its settings."""
    model, specs, weights = loaded(name, **changes)
    family, backbone, spec = model.family, weights.backbone, specs[-1]
    sides = [scale * s for s in side(family)]
    values = np.random.default_rng(0).uniform(-1, 1, (3, 3, *sides)).astype(np.float32)
    text = backbone.text(TEXTS[0]) if spec.uses_text else None
    image = backbone.image(torch.from_numpy(values), Clip("video", (0, 1, 2))) if spec.condition.uses_image else None
    stride = family.strides.side if isinstance(family, VideoTransformer) else LATENT_STRIDE
    size = (family.latent_channels, 3, *(s // stride for s in sides))
    latents = torch.randn(size, generator=torch.manual_seed(0))
    condition = backbone.denoiser.condition(spec.condition, 3, text, image, None)
    return family, backbone, latents, condition, {**family.defaults, **spec.settings}


def as_maps(family, tap, value, size):
    """What a hook got, as the maps that the tap gives."""
    if isinstance(family, VideoTransformer):
        return token_maps(family, tap, first_of(value), token_grid(family, size))
    sizes = level_sizes(tuple(size[1:]), family.blocks)
    return frame_maps(tap, unet.tap_points(family, (tap,))[tap], value, batch=1, frames=size[0], sizes=sizes)


def path_of(family, tap):
    return engine(family).tap_points(family, (tap,))[tap].path


def some_taps(family):
    if isinstance(family, VideoUNet):
        return "unet.up.1", "unet.in", "unet.down.0", "unet.down.1.0.q", "unet.up.1.0.k.1", "vae.down.0", "vae.latents"
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


@pytest.mark.parametrize("name", TAPPED)
def test_taps_equal_hooks_on_the_whole_forward(name):
    """To the bit, though less is computed and fewer weights are there."""
    family = find_model(name).family
    taps = tuple(tap for tap in some_taps(family) if not tap.startswith("vae."))
    family, backbone, latents, condition, settings = prepared(name, taps=taps)
    level = backbone.process.parse("s=0.3")
    outputs = {t: point.path for t, point in engine(family).tap_points(family, taps).items() if point.kind == "output"}
    assert len(outputs) > 1
    caught = {}
    whole, part = engine(family).make_network(family).eval(), part_at(family, level)
    randomise(whole, family.pipeline.seed(part), torch.float32, CPU)
    with torch.inference_mode():
        ours = backbone.features(latents, level, [condition])
        for path in outputs.values():
            whole.get_submodule(path).register_forward_hook(
                lambda _m, _i, out, path=path: caught.__setitem__(path, out)
            )
        whole(**family.arguments(latents[None], level, (condition,), settings))
    for tap, path in outputs.items():
        assert torch.equal(ours[tap], as_maps(family, tap, caught[path], latents.shape[1:]))
    denoiser = backbone.denoiser
    if isinstance(denoiser, Experts):
        assert set(denoiser.loaded) == {part}
        denoiser = denoiser.loaded[part]
    assert any(p.device.type == "meta" for p in denoiser.network.parameters())


@pytest.mark.parametrize("name", TAPPED)
def test_an_output_is_that_of_the_whole_forward_as_latents(name):
    """What an inversion goes by, where all of the denoiser is loaded; in another type than the latents come in."""
    family = find_model(name).family
    kind = family.unguided.kind
    options = {"taps": some_taps(family)[:1], "noises": ("inverted",), "conditions": (kind,)}
    family, backbone, latents, condition, settings = prepared(name, **options)
    level = backbone.process.parse("s=0.3")
    whole = engine(family).make_network(family).eval()
    randomise(whole, family.pipeline.seed(part_at(family, level)), torch.float32, CPU)
    with torch.inference_mode():
        ours = backbone.predict(latents, level, condition)
        theirs = whole(**family.arguments(latents[None], level, (condition,), settings))[0]
        halves = prepared(name, **options, compute_dtype="bfloat16")
        half = halves[1].predict(latents, level, halves[3])
    assert ours.shape == half.shape == latents.shape
    if theirs.shape[1:] == latents.shape:
        assert torch.equal(ours.abs(), theirs[0].abs())  # Mochi's velocity is told the other way round
    assert half.dtype == torch.bfloat16
    assert (half.float() - ours).norm() / ours.norm() < 0.2


@pytest.mark.parametrize("name", TAPPED)
def test_only_the_tensors_before_the_last_tap_are_read(name, tmp_path, monkeypatch):
    """From files as they are published, in shards: those of later blocks are not opened for their values."""
    from vdprobe.models.networks import weights

    family = find_model(name).family
    network = engine(family).make_network(family).eval()
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
    blocks = "blocks" if isinstance(family, VideoTransformer) else "unet.down"
    kind = transformer.TransformerDenoiser if isinstance(family, VideoTransformer) else unet.UNetDenoiser
    kind.load(family, (f"{blocks}.0",), family.settings(request(family)), torch.float32, CPU)
    first, second = (path_of(family, f"{blocks}.{i}") for i in (0, 1))
    assert any(one.startswith(f"{first}.") for one in read)
    assert not any(one.startswith(f"{second}.") for one in read)
    assert len(read) < len(network.state_dict())


@pytest.mark.parametrize("name", TAPPED)
def test_a_moved_latent_moves_its_own_place_most(name):
    family = find_model(name).family
    tap, steps = (
        ("blocks.0", family.strides.patch) if isinstance(family, VideoTransformer) else ("unet.up.3", (1, 1, 1))
    )
    family, backbone, latents, condition, _ = prepared(name, 2, taps=(tap,))
    moved = latents.clone()
    place = (2, latents.shape[2] - 1, 1)
    moved[(slice(None), *place)] += 3
    with torch.inference_mode():
        level = backbone.process.parse(CLEAN)
        one, two = (backbone.features(z, level, [condition])[tap][0] for z in (latents, moved))
    change = (one - two).square().sum(1)
    expected = tuple(p // step for p, step in zip(place, steps, strict=True))
    found = tuple(map(int, np.unravel_index(int(change.argmax()), change.shape)))
    if isinstance(family, VideoTransformer):
        assert found == expected
    else:  # convolutions blur it
        assert found[0] == expected[0]
        assert all(abs(one - other) <= 1 for one, other in zip(found[1:], expected[1:], strict=True))


@pytest.mark.parametrize("name", TEXTUAL)
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


@pytest.mark.parametrize("name", TEXTUAL)
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
    if "noise_aug" in getattr(family, "defaults", {}):  # SVD's picture has noise of its own, which is drawn
        options["settings"] = {"noise_aug": 0.0}
    first, other_seed = (run(name, **options, seed=seed)[0][taps[0]] for seed in (0, 1))
    assert torch.equal(first, other_seed)
    gaussian = run(name, **options | {"noises": ("gaussian",)})[0][taps[0]]
    assert not torch.equal(first, gaussian)
    specs = [find_model(name).specs(request(family, **options | {"inversion_steps": n}))[-1] for n in (3, 4)]
    assert specs[0].key != specs[1].key
    assert ("text_encoder" in specs[0].model.parts) == family.pipeline.has("text_encoder")


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
    levels = [model.family.process().level(t) for t in spec.timesteps]
    assert set(spec.model.parts) == set(model.family.parts_at(spec.condition, levels))
    assert set(spec.model.parts) <= {*model.family.parts(spec.condition), *DENOISERS}
    keys = {spec.key}
    variants = [{"seed": 1}, {"timesteps": ("s=0.4",)}, {"noises": ("none",)}, {"latents": "sample"}]
    if isinstance(model.family, VideoTransformer):
        variants.append({"latent_frames": "frame-as-latent"})
    for setting, value in getattr(model.family, "defaults", {}).items():
        if isinstance(value, bool | int | float):
            variants.append({"settings": {setting: not value if isinstance(value, bool) else value + 1}})
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
        pipeline.denoiser: transformer.make_network(family).eval(),
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
