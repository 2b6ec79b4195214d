from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from vdprobe.data import lighting
from vdprobe.data.lighting import apply_lighting
from vdprobe.errors import ConfigError
from vdprobe.specs.canonical import canonical_hash
from vdprobe.specs.lighting import Lighting, LightingKind

KINDS = get_args(LightingKind)


def noise_frames(count=6, height=24, width=32, low=0, high=256):
    return np.random.default_rng(0).integers(low, high, (count, height, width, 3), dtype=np.uint8)


def grey(value, count=40):
    return np.full((count, 8, 8, 3), value, np.uint8)


def fix_draws(monkeypatch, *numbers):
    monkeypatch.setattr(lighting, "_draws", lambda seed, video, frame, count: list(numbers[:count]))


@pytest.mark.parametrize("kind", KINDS)
def test_strength_zero_changes_no_bit(kind):
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(4, 8, 8, 3)
    for seed in range(20):
        lit = apply_lighting(frames, Lighting(kind=kind, strength=0.0, seed=seed), "dog", range(4))
        assert np.array_equal(lit.frames, frames)
        assert not lit.clipped.any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_is_the_same_in_any_clip(kind):
    light, frames = Lighting(kind=kind, strength=0.8, seed=3), noise_frames()
    whole = apply_lighting(frames, light, "dog", range(6))
    part = apply_lighting(frames[[4, 1, 4]], light, "dog", [4, 1, 4])
    assert np.array_equal(part.frames, whole.frames[[4, 1, 4]])
    assert np.array_equal(part.clipped, whole.clipped[[4, 1, 4]])
    for other in (replace(light, seed=4), light):
        video = "cat" if other == light else "dog"
        assert not np.array_equal(apply_lighting(frames, other, video, range(6)).frames, whole.frames)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stronger_change_is_more_of_the_same(kind):
    frames = noise_frames(4, low=60, high=120)
    changes = [
        apply_lighting(frames, Lighting(kind=kind, strength=s), "dog", range(4)).frames - frames.astype(float)
        for s in (0.25, 0.5, 1.0)
    ]
    means = [abs(change).mean() for change in changes]
    assert 1 < means[0] < means[1] < means[2]
    assert np.corrcoef(changes[0].ravel(), changes[2].ravel())[0, 1] > 0.9


def test_the_arguments_are_left_alone():
    frames = noise_frames()
    apply_lighting(frames, Lighting(strength=1.0), "dog", range(6))
    assert np.array_equal(frames, noise_frames())


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("brightness", (100, 120, 200), (150, 180, 255)),
        ("gamma", (0, 120, 255), (0, round(255 * (120 / 255) ** np.sqrt(3)), 255)),
        ("temperature", (100, 120, 200), (125, 120, 150)),
    ],
)
def test_known_answers(monkeypatch, kind, before, after):
    """At strength 0.5 and the largest draw."""
    fix_draws(monkeypatch, 0.0, 1.0)
    lit = apply_lighting(np.full((1, 4, 5, 3), before, np.uint8), Lighting(kind=kind, strength=0.5), "dog", [0])
    assert np.array_equal(lit.frames, np.full((1, 4, 5, 3), after))
    assert lit.clipped.tolist() == [20 if kind == "brightness" else 0]


def test_contrast_spreads_values_about_the_mean_grey(monkeypatch):
    fix_draws(monkeypatch, 0.0, 1.0)
    frame = np.stack([grey(20, 1)[0], grey(100, 1)[0]], axis=1).reshape(1, 8, 16, 3)
    lit = apply_lighting(frame, Lighting(kind="contrast", strength=1.0), "dog", [0])
    assert sorted(set(lit.frames.ravel().tolist())) == [0, 140]  # 60 - 80 is cut, 60 + 80 is not
    assert lit.clipped.tolist() == [8 * 8 * 3]
    fix_draws(monkeypatch, 0.0, 0.0)
    assert (apply_lighting(frame, Lighting(kind="contrast", strength=1.0), "dog", [0]).frames == 60).all()


def test_a_share_of_the_frames_is_changed_and_belongs_to_every_larger_share():
    frames, changed = grey(100, 400), {}
    for share in (0.25, 0.5, 1.0):
        lit = apply_lighting(frames, Lighting(strength=1.0, share=share), "dog", range(400)).frames
        changed[share] = (lit != frames).any(axis=(1, 2, 3))
        assert changed[share].mean() == pytest.approx(share, abs=0.06)
    assert changed[0.5][changed[0.25]].all()
    assert changed[1.0][changed[0.5]].all()


def test_brightness_goes_up_as_often_as_down():
    levels = apply_lighting(grey(100, 400), Lighting(strength=0.5), "dog", range(400)).frames[:, 0, 0, 0]
    assert (levels.min(), levels.max()) == (pytest.approx(50, abs=1), pytest.approx(150, abs=1))
    assert levels.mean() == pytest.approx(100, abs=3)


def test_flicker_is_a_wave_over_the_frames(monkeypatch):
    fix_draws(monkeypatch, 1 / 3, 0.0)  # a period of 4 frames that begins at its crest
    levels = apply_lighting(grey(100, 6), Lighting(kind="flicker", strength=0.5), "dog", range(6)).frames[:, 0, 0, 0]
    assert levels.tolist() == [150, 100, 50, 100, 150, 100]


def test_a_shadow_is_a_band_that_moves(monkeypatch):
    fix_draws(monkeypatch, 0.0, 0.25, 1.0)  # along x, at a quarter, a tenth of the width a frame
    frames = np.full((3, 4, 200, 3), 200, np.uint8)
    lit = apply_lighting(frames, Lighting(kind="shadow", strength=0.5), "dog", range(3)).frames
    assert (lit == lit[:, :1, :, :1]).all()
    for k, row in enumerate(lit[:, 0, :, 0]):
        assert (row.min(), row.max()) == (100, 200)
        assert np.flatnonzero(row == 100).mean() + 0.5 == pytest.approx(50 + 20 * k)
        assert row[round(50 + 20 * k + 0.182 * 200)] == pytest.approx(150, abs=2)


def test_draws_are_fixed_for_ever():
    """Features are stored under these changes: other draws would orphan every store."""
    draws = lighting._draws(0, "dog", 7, 2) + lighting._draws(0, "dog", None, 3)
    assert [round(draw, 6) for draw in draws] == [0.535591, 0.287802, 0.826425, 0.453782, 0.522874]


def test_one_meaning_has_one_key():
    assert canonical_hash(Lighting(strength=-0.0)) == canonical_hash(Lighting(strength=0.0))
    whole = object.__new__(Lighting)  # integers, which the checked constructor does not take
    for name, value in {"kind": "brightness", "strength": 1, "share": 1, "seed": 0}.items():
        object.__setattr__(whole, name, value)
    whole.__post_init__()
    assert canonical_hash(whole) == canonical_hash(Lighting(strength=1.0))
    fields = ({"kind": "gamma"}, {"strength": 0.5}, {"share": 0.5}, {"seed": 1})
    keys = {canonical_hash(Lighting(**{"strength": 1.0, **changed})) for changed in ({}, *fields)}
    assert len(keys) == 5


@pytest.mark.parametrize(
    "wrong",
    [{"strength": -0.1}, {"strength": 1.1}, {"strength": float("nan")}, {"share": 0.0}, {"share": 2.0}, {"seed": -1}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match="strength must be from 0 to 1, share above 0 and at most 1"):
        Lighting(**{"strength": 0.5, **wrong})


@pytest.mark.parametrize("kind", ["flicker", "shadow"])
def test_a_share_of_what_goes_through_all_frames_is_refused(kind):
    with pytest.raises(ConfigError, match=rf"lighting.share \(=0.5\) means nothing for '{kind}'"):
        Lighting(kind=kind, strength=0.5, share=0.5)


def test_frames_and_their_indices_must_pair():
    with pytest.raises(ValueError, match="zip"):
        apply_lighting(noise_frames(), Lighting(strength=0.5), "dog", range(5))
