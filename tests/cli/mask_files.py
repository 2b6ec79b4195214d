"""A small dataset with masks, and predictions for it."""

import json
import shutil

import numpy as np
from PIL import Image

from vdprobe.data.moving_shapes.write import write_moving_shapes

PALETTE = (*(0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0), *range(12, 256), *range(256), *range(256))
"""Of 256 colours: Pillow writes no index beyond the palette."""


def write_mask(path, mask, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(mask, dtype=np.uint8))
    if mode == "P":
        image.putpalette(PALETTE)
    image.convert(mode).save(path) if mode not in ("L", "P") else image.save(path)


def read_mask(path):
    return np.asarray(Image.open(path))


def make_shapes(folder, *, videos=3, frames=4, side=48):
    write_moving_shapes(folder, {"val": videos}, frames=frames, side=side)
    return folder


def listed(dataset, split="val"):
    return json.loads((dataset / "meta_expressions" / split / "meta_expressions.json").read_text())["videos"]


def predict_expressions(dataset, out):
    """The truth as predictions: 0/255 for each expression; gives the number of masks."""
    count = 0
    for video, entry in listed(dataset).items():
        for id, expression in entry["expressions"].items():
            for stem in entry["frames"]:
                labels = read_mask(dataset / "val" / "Annotations" / video / f"{stem}.png")
                write_mask(out / video / id / f"{stem}.png", 255 * (labels == int(expression["obj_id"])))
                count += 1
    return count


def copy_labels(dataset, out):
    """The truth as predictions: all objects in one palette PNG a frame."""
    shutil.copytree(dataset / "val" / "Annotations", out)
