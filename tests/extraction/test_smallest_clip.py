import json

import numpy as np
from PIL import Image

from vdprobe.data.moving_shapes import make_video


def test_one_frame_of_32_pixels(configure, run, tmp_path):
    """Down block 2 of the UNet is 1x1 then, with one value in each group of its first normalisation."""
    (tmp_path / "frames" / "a").mkdir(parents=True)
    frames = make_video("train", 0, frames=1, side=32).rendering.frames
    Image.fromarray(frames[0]).save(tmp_path / "frames" / "a" / "00000.png")
    (tmp_path / "texts.json").write_text(json.dumps({"a": ["a ring", "the disk"]}))
    values = []
    for batch in (1, 2):  # one expression a forward, and both
        config = configure(
            videos={"path": str(tmp_path / "frames"), "expressions": str(tmp_path / "texts.json")},
            clips={"frames": 1},
            resize={"short_side": 32},
            taps=["unet.down.2"],
            store={"path": str(tmp_path / f"store{batch}"), "dtype": "float32"},
            batch_size=batch,
        )
        store, plan, report = run(config)
        assert (report.written, report.failures) == (2, [])
        (spec,) = plan.specs
        values.append([store.get(spec.key, item).read("unet.down.2", 0) for item in plan.clips[0].items(spec)])
    assert values[0][0].shape[-2:] == (1, 1)
    assert np.isfinite(values).all()
    assert np.abs(np.subtract(*values)).max() < 1e-3
