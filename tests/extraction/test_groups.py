"""Clips that fill no whole group of a temporal VAE."""


def test_the_last_frame_is_repeated_and_said(configure, run):
    store, plan, report = run(configure(**WAN))
    assert report.ok
    (note,) = report.notes
    assert "its last frame is repeated to fill a group" in note
    spec = plan.specs[-1]
    item = store.get(spec.key, plan.clips[0].item(spec, plan.clips[0].texts[0]))
    assert item.tap_attrs("blocks.0")["spans"] == [[0, 1], [1, 4]]


def test_they_are_refused_where_that_is_asked(configure, run):
    _, plan, _ = run(configure(**WAN, incomplete_groups="refuse"))
    assert not plan.clips
    assert all("has 4 frames, which is not 1 + a multiple of 4" in failure.error for failure in plan.failures)


def test_alone_every_frame_is_whole(configure, run):
    _, plan, report = run(configure(**WAN, incomplete_groups="refuse", latent_frames="frame-as-latent"))
    assert report.ok
    assert plan.clips
    assert not report.notes


WAN = {
    "model": {"pipeline": "random:tiny-wan", "adapter": None},
    "taps": ["blocks.0"],
    "conditions": ["vd-t"],
    "clips": {"frames": 4},
    "timesteps": ["s=0.3"],
    "noises": ["gaussian"],
}
