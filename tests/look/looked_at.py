"""A small store with its videos and masks: two clips of 5 frames, in which a square moves."""

import numpy as np
from PIL import Image

from vdprobe.data.frames import content_digest
from vdprobe.data.sources import find_videos
from vdprobe.specs.features import Condition, FeatureSpec, Item, LatentSampling, ModelIdentity, Noise
from vdprobe.specs.layer import TapPlace
from vdprobe.specs.spans import frame_spans
from vdprobe.specs.video import ClipSampling, Resize
from vdprobe.store.store import FeatureStore

HEIGHT, WIDTH, STRIDE, FRAMES, CHANNELS = 40, 64, 8, 5, 12
VIDEOS = ("a bear", "b <script>alert(1)</script>")
TAPS = ("unet.up.1", "unet.up.2")


def make_spec(**changed):
    values = {
        "model": ModelIdentity(name="some/model", parts={"unet": "ab" * 32}),
        "taps": TAPS,
        "timesteps": (50, 261),
        "condition": Condition(kind="vd-i", form="raw"),
        "noise": Noise(kind="gaussian", seed=3),
        "latents": LatentSampling(),
        "clips": ClipSampling(frames=FRAMES),
        "resize": Resize(short_side=None, long_side=None),
        "compute_dtype": "float32",
        "store_dtype": "float16",
    }
    return FeatureSpec(**{**values, **changed})


def write_videos(folder):
    for video in VIDEOS:
        frames, masks = folder / "videos" / video.replace("/", "_"), folder / "masks" / video.replace("/", "_")
        frames.mkdir(parents=True)
        masks.mkdir(parents=True)
        for k in range(FRAMES):
            picture, mask = np.full((HEIGHT, WIDTH, 3), 90, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
            mask[8:24, 8 * k : 8 * k + 16] = 1
            picture[mask > 0] = (230, 60, 30)
            Image.fromarray(picture).save(frames / f"{k:05d}.png")
            Image.fromarray(mask).save(masks / f"{k:05d}.png")


def options(folder):
    return {"path": str(folder / "videos"), "layout": "frames", "masks": str(folder / "masks")}


def features(spec, seed=0, rows=HEIGHT // STRIDE):
    """The square's cells point one way and the others another, with some noise; the grid's last row is padding."""
    rng = np.random.default_rng(seed)
    out = {}
    for place, tap in enumerate(spec.taps):
        values = rng.standard_normal((len(spec.timesteps) or 1, FRAMES, CHANNELS, rows + 1, WIDTH // STRIDE)) * 0.1
        values[:, :, 0] += 1
        for k in range(FRAMES):
            values[:, k, :2, 1:3, k : k + 2] = np.array([-1, 1 + place])[:, None, None]
        out[tap] = values.astype(np.float16 if spec.store_dtype == "float16" else np.float32)
    return out


def write(store, spec, folder, video, *, seed=0, digest=None):
    found = {video.id: video for video in find_videos(folder / "videos", layout="frames").videos}
    name = video.replace("/", "_")
    item = Item(video=name, digest=digest or content_digest(found[name]), frames=tuple(range(FRAMES)), text=None)
    store.write_spec(spec, {"config": {"videos": options(folder)}})
    size = {"source_size": [HEIGHT, WIDTH], "frame_size": [HEIGHT, WIDTH], "padded_size": [HEIGHT + 8, WIDTH]}
    values = features(spec, seed)
    place = TapPlace(STRIDE, frame_spans(len(item.frames)))
    store.write(
        spec,
        item,
        values,
        places=dict.fromkeys(spec.taps, place),
        attrs={"sigma": [0.1, 0.4], **size},
    )
    return values


def make_store(folder, *specs):
    write_videos(folder)
    store = FeatureStore.create(folder / "store", durable=False)
    for spec in specs or (make_spec(), make_spec(model=ModelIdentity(name="random:model", parts={"unet": "cd" * 32}))):
        for seed, video in enumerate(VIDEOS):
            write(store, spec, folder, video, seed=seed)
    return store
