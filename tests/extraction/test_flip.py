import json

import numpy as np
import pytest

from vdprobe.errors import ConfigError
from vdprobe.extraction.plan import make_plan


@pytest.fixture
def sided(configure, tmp_path):
    """A configuration whose texts name sides."""
    (tmp_path / "sides.json").write_text(json.dumps({"a": ["the LEFT disk", "the right disk"], "b": ["a ring"]}))
    texts = {"videos": {"expressions": str(tmp_path / "sides.json")}}
    return lambda **changes: configure(**texts, **changes)


def test_a_flipped_clip_is_another_item_with_the_other_side(sided):
    plain, flipped = make_plan(sided()), make_plan(sided(resize={"flip": True}))
    assert {s.key for s in plain.specs}.isdisjoint(s.key for s in flipped.specs)
    clip, spec = flipped.clips[0], flipped.specs[-1]
    assert clip.texts == ("the LEFT disk", "the right disk")  # as the dataset has them
    assert [item.text for item in clip.items(spec)] == ["the RIGHT disk", "the left disk"]
    assert clip.item(spec, "the right disk") == clip.items(spec)[1]
    assert [item.text for item in clip.items(plain.specs[-1])] == list(clip.texts)
    assert clip.items(flipped.specs[0]) == (clip.item(flipped.specs[0], "the right disk"),)  # the VAE reads no text
    assert clip.digest == plain.clips[0].digest
    with pytest.raises(ConfigError, match="features under vd-t/gaussian belong to a text; name one of video 'a'"):
        clip.item(spec, None)


def test_the_condition_sees_the_mirrored_text_and_frames(sided, run, tmp_path, monkeypatch):
    from vdprobe.models.diffusion.clip_text import TextEncoder

    read = []
    encode = TextEncoder.__call__
    monkeypatch.setattr(TextEncoder, "__call__", lambda self, text: read.append(text) or encode(self, text))
    store, plan, report = run(sided(resize={"flip": True}))
    assert report.ok
    assert sorted(read) == ["a ring", "the RIGHT disk", "the left disk"]
    clip, spec = plan.clips[0], plan.specs[-1]
    other, unflipped, _ = run(sided(store={"path": str(tmp_path / "plain")}))
    pair = [
        s.get(p.specs[-1].key, clip.item(p.specs[-1], "the right disk")).read("unet.down.0")
        for s, p in ((store, plan), (other, unflipped))
    ]
    assert pair[0].shape == pair[1].shape
    assert not np.array_equal(*pair)
    assert store.get(spec.key, clip.item(spec, "the right disk")).item.text == "the left disk"
