import numpy as np
from PIL import Image

from vdprobe.data.moving_shapes.write import write_moving_shapes
from vdprobe.specs.video import ClipSampling
from vdprobe.training.referring_clips import ClipDraws, find_referrals


def test_masks_of_0_and_255_alone_are_of_object_1_and_counted(tmp_path):
    write_moving_shapes(tmp_path / "shapes", {"train": 2}, frames=2, side=32)
    assert find_referrals(tmp_path / "shapes", "train").count_one_object() == 0
    first = min((tmp_path / "shapes/train/Annotations").iterdir())
    for path in first.iterdir():
        Image.fromarray((np.asarray(Image.open(path)) == 1).astype(np.uint8) * 255).save(path)
    found = find_referrals(tmp_path / "shapes", "train")
    assert found.count_one_object() == 1
    mine = tuple(r for r in found.usable if r.video.id == first.name and r.object_ids == ("1",))
    (clip,) = ClipDraws(mine, ClipSampling(frames=2), 0, "train").batch(0, 1)
    shown = [np.asarray(Image.open(first / f"{frame:05d}.png")) == 255 for frame in clip.frames]
    assert np.array_equal(clip.mask, shown)
