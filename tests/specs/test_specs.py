import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.errors import ConfigError, suggest
from vdprobe.specs.canonical import canonical_hash, canonical_json
from vdprobe.specs.features import Condition, FeatureSpec, Item, LatentSampling, ModelIdentity, Noise
from vdprobe.specs.lighting import Lighting, effective
from vdprobe.specs.load import build, merge, parse_assignments
from vdprobe.specs.video import ClipSampling, Resize

SPEC = FeatureSpec(
    model=ModelIdentity(name="somewhere", parts={"unet": "1", "vae": "2"}),
    taps=("unet.in",),
    timesteps=(0,),
    condition=Condition(kind="vd-t", form="raw"),
    noise=Noise(kind="gaussian", seed=0),
    latents=LatentSampling(),
    clips=ClipSampling(),
    resize=Resize(),
    compute_dtype="float32",
    store_dtype="float16",
)
ITEM = Item(video="dog", digest="ab", frames=(0, 1), text="a dog")


def test_known_keys():
    """Stores on disk are found by these: a change here orphans every one of them."""
    old = replace(SPEC, version=1)
    assert old.key == "ab12c480d164d2fab20e4d2c80cc2393653147bfb5b500eef093a609c5386cfc"
    assert ITEM.key(old.key) == "43cd38b1d6d51da7fdab32d5f23b224e50ab9a9d48f797f66b6abdf7ebfa1a31"
    # Since frames that are flat, dark or padded are encoded exactly on a CPU.
    assert SPEC.key == "eebb932973483b0a0505ad6848f6fde2acfc07d4697179fadee439b07884579a"
    assert ITEM.key(SPEC.key) == "e99fca1795d83d071be998599c372d57a361f5eb3e701adc32c594e93beb39ae"


@pytest.mark.parametrize(
    "change",
    [
        {"taps": ("unet.mid",)},
        {"timesteps": (0, 1)},
        {"condition": Condition(kind="vd-t", form="adapter", adapter="x")},
        {"noise": Noise(kind="gaussian", seed=1)},
        {"latents": LatentSampling(kind="mode", seed=None)},
        {"clips": ClipSampling(overlap=1)},
        {"resize": Resize(multiple=64)},
        {"resize": Resize(flip=True)},
        {"lighting": Lighting(strength=0.5)},
        {"compute_dtype": "float16"},
        {"store_dtype": "int8"},
        {"version": 1},
        {"model": ModelIdentity(name="somewhere", parts={"unet": "1", "vae": "3"})},
    ],
)
def test_every_field_is_in_the_key(change):
    assert replace(SPEC, **change).key != SPEC.key


def test_where_a_model_was_read_from_is_not():
    assert replace(SPEC, model=replace(SPEC.model, name="elsewhere")).key == SPEC.key


lightings = st.none() | st.builds(
    Lighting,
    kind=st.sampled_from(["brightness", "gamma"]),
    strength=st.sampled_from([0, 0.0, -0.0, 0.5, 1, 1.0]),
    share=st.sampled_from([0.5, 1, 1.0]),
    seed=st.integers(0, 1),
)


@given(lightings, lightings)
def test_two_lightings_share_a_key_exactly_when_they_change_the_same(one, other):
    def meaning(lighting):
        still = lighting is None or lighting.strength == 0
        return None if still else (lighting.kind, lighting.strength, lighting.share, lighting.seed)

    keys = [replace(SPEC, lighting=lighting).key for lighting in (one, other)]
    assert (keys[0] == keys[1]) == (meaning(one) == meaning(other))


def test_a_change_of_no_strength_is_none():
    assert effective(Lighting(strength=0)) is effective(None) is None
    assert effective(Lighting(strength=0.1)) == Lighting(strength=0.1)
    assert replace(SPEC, lighting=Lighting(kind="flicker", strength=0)) == SPEC


@pytest.mark.parametrize(
    ("taps", "label"), [(("vae.down.2",), "vae"), (("pixels.8",), "pixels"), (("vision.layer.2",), "vision")]
)
def test_what_depends_on_frames_alone_is_called_by_its_taps(taps, label):
    assert replace(SPEC, taps=taps, condition=None, noise=None, latents=None, timesteps=()).label == label
    assert SPEC.label == "vd-t/gaussian"


def test_every_field_of_an_item_is_in_its_key():
    changes = [{"video": "cat"}, {"digest": "ac"}, {"frames": (1, 0)}, {"text": None}, {"text": ""}]
    keys = {replace(ITEM, **change).key(SPEC.key) for change in changes} | {ITEM.key(SPEC.key), ITEM.key("other")}
    assert len(keys) == len(changes) + 2


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain, max_size=4))
def test_canonical_json_is_json_and_ignores_order(value):
    shuffled = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(shuffled)
    assert json.loads(canonical_json(value)) == json.loads(json.dumps(value))


def test_not_a_number_has_no_canonical_form():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_hash({"x": float("nan")})


@dataclass(frozen=True, kw_only=True)
class Inner:
    alpha: int = 1
    beta: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    many: tuple[str, ...] = ()


def test_build_converts_and_checks():
    assert build(Outer, {"name": "x", "inner": {"alpha": 3, "beta": 1}, "many": ["a", "b"]}) == Outer(
        name="x", inner=Inner(alpha=3, beta=1.0), many=("a", "b")
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "option 'name' is missing"),
        ({"name": "x", "inne": {}}, "unknown option 'inne': did you mean 'inner'"),
        ({"name": "x", "inner": {"alhpa": 1}}, r"unknown option 'inner\.alhpa': did you mean 'alpha'"),
        (
            {"name": "x", "inner": {"alpha": "one"}},
            r"option 'inner\.alpha' \(='one'\): input should be a valid integer",
        ),
        ({"name": "x", "many": 3}, r"option 'many' \(=3\)"),
    ],
)
def test_build_errors_name_the_place(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build(Outer, values)
    assert "\n" not in str(caught.value)


def test_assignments_nest_and_merge():
    values = parse_assignments(["a.b=1", "a.c=[x, y]", "d=null", "e=sigma=0.5"])
    assert values == {"a": {"b": 1, "c": ["x", "y"]}, "d": None, "e": "sigma=0.5"}
    assert merge({"a": {"b": 0, "z": 1}}, values)["a"] == {"b": 1, "c": ["x", "y"], "z": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClipSampling(frames=0), r"clips\.frames \(=0\) must be at least 1"),
        (lambda: ClipSampling(kind="vdit", frames=2), "at least 3 for kind 'vdit'"),
        (lambda: ClipSampling(frames=4, overlap=4), r"below clips\.frames \(=4\)"),
        (lambda: ClipSampling(kind="even", start=2), "belongs to kind 'consecutive' and means nothing for 'even'"),
        (lambda: Resize(short_side=None), "give short_side too, or set both to null"),
        (lambda: Resize(multiple=12), "must be a multiple of 8"),
    ],
)
def test_options_that_mean_nothing_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_suggestions():
    assert suggest("vd-ti", ["vd-i", "vd-t", "vd-it"]).startswith("did you mean 'vd-t")
    assert suggest("zzz", ["a", "b"]) == "valid: a, b"
    assert suggest("zzz", map(str, range(100))) == "there are 100 valid names, such as 0, 1, 2, 3"


def test_timesteps_need_not_be_whole():
    """A whole number has one form, so that the keys of specs stay what they were."""
    assert replace(SPEC, timesteps=(0.0,)) == SPEC and replace(SPEC, timesteps=(0.0,)).key == SPEC.key
    assert type(replace(SPEC, timesteps=(np.float64(50),)).timesteps[0]) is int
    assert replace(SPEC, timesteps=(0.5,)).key != replace(SPEC, timesteps=(1,)).key
    assert replace(SPEC, timesteps=(0.1 + 0.2,)).timesteps == (0.1 + 0.2,)
    with pytest.raises(ConfigError, match="inf is not a finite number"):
        replace(SPEC, timesteps=(float("inf"),))
