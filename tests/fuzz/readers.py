"""Every reader of what users hand in: a line each."""

import argparse
import collections
import itertools
import json
import shutil
import sys
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from harness import Reader
from PIL import Image

TESTS = Path(__file__).parents[1]
for _folder in ("data", "store"):
    if str(TESTS / _folder) not in sys.path:
        sys.path.append(str(TESTS / _folder))

import published  # noqa: E402
import store_things  # noqa: E402
import synthetic_media  # noqa: E402
import yaml  # noqa: E402

from vdprobe.data.check_dataset import check_dataset  # noqa: E402
from vdprobe.data.folders import file_video, frames_video  # noqa: E402
from vdprobe.data.frames import FrameReader, content_digest, frame_size  # noqa: E402
from vdprobe.data.masks import read_labels  # noqa: E402
from vdprobe.data.object_attributes import object_attributes  # noqa: E402
from vdprobe.data.rle import encode_rle  # noqa: E402
from vdprobe.data.sources import find_videos  # noqa: E402
from vdprobe.specs.load import build, parse_assignments, read_yaml  # noqa: E402
from vdprobe.store.check import verify  # noqa: E402
from vdprobe.store.export import export_hdf5  # noqa: E402
from vdprobe.store.store import FeatureStore  # noqa: E402
from vdprobe.studies.evaluate import EvaluateConfig, run_evaluation, write_report  # noqa: E402
from vdprobe.studies.submit import check_submission, write_submission  # noqa: E402

# videos and pictures

CONTAINERS = {
    ".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".avi": "mpeg4", ".webm": "libvpx-vp9", ".ts": "libx264",
    ".mpg": "mpeg2video", ".flv": "flv", ".wmv": "wmv2", ".ogv": "libvpx",
}  # fmt: skip
PICTURES = (".png", ".jpg", ".bmp", ".webp", ".tiff")


def make_video(suffix: str, folder: Path) -> None:
    synthetic_media.write_video(folder / f"a{suffix}", 12, codec=CONTAINERS[suffix])


def read_video(folder: Path) -> None:
    (path,) = folder.iterdir()
    video = file_video(path)
    content_digest(video)
    frame_size(video, 0)
    with FrameReader(video) as reader:
        reader.read(sorted({0, reader.num_frames // 2, reader.num_frames - 1}))


def make_pictures(suffix: str, folder: Path) -> None:
    synthetic_media.write_frames(folder / "a", 2, suffix)


def read_pictures(folder: Path) -> None:
    video = frames_video(folder / "a")
    frame_size(video, 0)
    with FrameReader(video) as reader:
        reader.read((0, 1))


def make_masks(folder: Path) -> None:
    synthetic_media.write_frames(folder / "frames" / "a")
    published.write_labels(folder / "masks" / "a")


def read_masks(folder: Path) -> None:
    (video,) = find_videos(folder / "frames", masks=folder / "masks").videos
    read_labels(video, range(3))


# datasets


def read_dataset(layout: str, folder: Path) -> None:
    for check in check_dataset(folder / "data", layout=layout):
        if check.split:
            for video in find_videos(folder / "data", layout=layout, split=check.split).videos:
                object_attributes(video)


def make_ytvos(folder: Path) -> None:
    published.write_ytvos(folder / "data")
    attributes = {"003234408d": {"objects": {"1": {"category": "dog", "frames": published.STEMS}}}}
    published.write_json(folder / "data" / "train" / "meta.json", {"videos": attributes})


def make_texts(suffix: str, folder: Path) -> None:
    synthetic_media.write_frames(folder / "videos" / "a")
    if suffix == ".json":
        value = {"a": {"x": "a dog", "y": {"exp": "two dogs", "obj_id": ["1", "2"]}}}
        (folder / "texts.json").write_text(json.dumps(value))
    else:
        (folder / "texts.csv").write_text("video,expression_id,text,object_id\na,x,a dog,1\na,y,two dogs,1 2\n")


def read_texts(suffix: str, folder: Path) -> None:
    find_videos(folder / "videos", expressions=folder / f"texts{suffix}")


# predictions


def make_predictions(zipped: bool, folder: Path) -> None:
    published.write_ytvos(folder / "data")
    for text, stem in itertools.product("0123", published.STEMS):
        path = folder / "masks" / "003234408d" / text / f"{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 * published.box(2, 3).astype(np.uint8)).save(path)
    if zipped:
        with zipfile.ZipFile(folder / "masks.zip", "w") as archive:
            for path in sorted((folder / "masks").rglob("*.png")):
                archive.write(path, path.relative_to(folder / "masks"))
        shutil.rmtree(folder / "masks")


def evaluate_videos(name: str, folder: Path) -> None:
    config = EvaluateConfig(protocol="ytvos", predictions=folder / name, dataset=folder / "data", split="train")
    write_report(run_evaluation(config), config, folder / "out")


def check_zip(dataset: bool, folder: Path) -> None:
    given = {"dataset": folder / "data", "split": "train"} if dataset else {}
    check_submission(folder / "masks.zip", "mevis", **given)
    write_submission(folder / "masks.zip", "mevis", folder / "out.zip", **given)


def make_results(folder: Path) -> None:
    published.write_refcoco(folder / "data")
    masks = {str(i): {"segmentation": encode_rle(published.box(1, 1)), "bbox": [1, 1, 5, 4]} for i in range(4)}
    polygons = {"bbox": [2, 1, 7, 6], "segmentation": [[2, 1, 9, 1, 9, 7, 2, 7], [11, 8, 15, 8, 15, 11]]}
    results = [{"image_id": id, "score": 0.5, **found} for id, found in {**masks, "3": polygons}.items()]
    (folder / "results.json").write_text(json.dumps(results))
    with zipfile.ZipFile(folder / "results.zip", "w") as archive:
        archive.write(folder / "results.json", "results.json")


def make_coco(folder: Path) -> None:
    make_results(folder)
    images = [{"id": str(i), "height": published.HEIGHT, "width": published.WIDTH} for i in range(2)]
    rle = {"size": [published.HEIGHT, published.WIDTH], "counts": [10, 20, published.HEIGHT * published.WIDTH - 30]}
    found = [{"image_id": "0", "bbox": [1, 2, 3, 4], "segmentation": [[1, 1, 9, 1, 9, 9.5]]}]
    found.append({"image_id": "1", "bbox": [1, 2, 3, 4], "segmentation": rle})
    (folder / "truth.json").write_text(json.dumps({"images": images, "annotations": found}))


def evaluate_images(name: str, dataset: str, folder: Path) -> None:
    config = EvaluateConfig(protocol="refcoco", predictions=folder / name, dataset=folder / dataset, split="val")
    write_report(run_evaluation(config), config, folder / "out")


# options


def make_spec(folder: Path) -> None:
    """The spec of an extraction."""
    values = {
        "model": {"pipeline": "tiny-t2v"}, "videos": {"path": "data", "split": "valid", "only": ["a"]},
        "timesteps": [50, 261], "clips": {"frames": 8}, "seed": 3, "store": {"path": "st", "dtype": "float16"},
    }  # fmt: skip
    (folder / "spec.yaml").write_text(yaml.safe_dump(values))


def read_spec(folder: Path) -> None:
    from vdprobe.extraction.config import ExtractConfig

    build(ExtractConfig, read_yaml(folder / "spec.yaml"))


def make_assignments(folder: Path) -> None:
    (folder / "a.set").write_text(
        "videos.path=data\ntimesteps=[50, 261]\nseed=3\nvideos.only=[a, b]\nmodel.pipeline=tiny-t2v"
    )


def read_assignments(folder: Path) -> None:
    from vdprobe.extraction.config import ExtractConfig

    lines = (folder / "a.set").read_bytes().decode("utf-8", "surrogateescape").splitlines()
    build(ExtractConfig, parse_assignments(lines))


# models

PARTS = ("unet", "vae", "text_encoder", "image_encoder", "scheduler", "tokenizer")
WEIGHTS = "diffusion_pytorch_model"


def make_model(folder: Path) -> None:
    """The bundled model, its weights as links: they are too large to be damaged here."""
    from vdprobe.models.diffusion.pipeline import ASSETS

    for path in (ASSETS / "tiny-t2v").rglob("*"):
        if path.parent.name in PARTS or path.name == "model_index.json":
            to = folder / path.relative_to(ASSETS / "tiny-t2v")
            to.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".safetensors":
                to.symlink_to(path)
            elif path.is_file():
                shutil.copy(path, to)


def read_model(folder: Path) -> None:
    import torch

    from vdprobe.models.diffusion.clip_image import ImageEncoder
    from vdprobe.models.diffusion.clip_text import TextEncoder
    from vdprobe.models.diffusion.frame_vae import load_vae
    from vdprobe.models.diffusion.pipeline import find_pipeline
    from vdprobe.models.unet3d.load import load_unet

    place = torch.float32, torch.device("cpu")
    pipeline = find_pipeline(str(folder))
    pipeline.process()
    pipeline.identity(("text_encoder", "tokenizer"))
    load_unet(pipeline, ["unet.down.1"], *place, weights=False)
    load_vae(pipeline, *place)
    TextEncoder.load(pipeline, *place)
    ImageEncoder.load(pipeline, *place)


def make_weights(suffix: str, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {"weight": torch.ones(3, 4), "bias": torch.ones(3)}
    save_file(tensors, folder / "a.safetensors") if suffix == ".safetensors" else torch.save(tensors, folder / "a.bin")


def read_weights(suffix: str, folder: Path) -> None:
    import torch

    from vdprobe.models.networks.weights import load_into

    load_into(torch.nn.Linear(4, 3, device="meta"), [folder / f"a{suffix}"], torch.float32, torch.device("cpu"))


def make_sharded(folder: Path) -> None:
    make_weights(".safetensors", folder)
    (folder / "a.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = {"weight_map": dict.fromkeys(("weight", "bias"), "model-00001-of-00001.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def read_sharded(folder: Path) -> None:
    import torch

    from vdprobe.data.model_files import weight_files
    from vdprobe.models.networks.weights import load_into

    files = weight_files(folder, ("model",), "the part")
    load_into(torch.nn.Linear(4, 3, device="meta"), files, torch.float32, torch.device("cpu"))


def make_adapter(folder: Path) -> None:
    from vdprobe.models.diffusion.adapter import make_adapter

    make_adapter(width=8, image_width=8, latent_channels=4, heads=2).save(folder / "a.safetensors")


def read_adapter(folder: Path) -> None:
    from vdprobe.models.diffusion.adapter import load_adapter

    load_adapter(folder / "a.safetensors")


def make_official(folder: Path) -> None:
    import torch

    state = {"transformer.level_embed": torch.zeros(4, 8), "class_embed.0.weight": torch.zeros(1, 8)}
    options = argparse.Namespace(nheads=8, lr_drop=[6, 8], output_dir="out", with_box_refine=True)
    content = {"model": collections.OrderedDict(state), "epoch": 8, "args": options, "optimizer": {"state": {}}}
    torch.save(content, folder / "checkpoint.pth")


def read_official(folder: Path) -> None:
    from vdprobe.head.official_checkpoint import read_tensors

    read_tensors(folder / "checkpoint.pth")


def make_head(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from vdprobe.head.files import save_head
    from vdprobe.head.official import read_head

    tensors = load_file(TESTS / "fixtures" / "vdit_head" / "head.safetensors")
    levels = load_file(TESTS / "fixtures" / "vdit_head" / "fixture.safetensors")
    for i in range(4):  # the neck does nothing
        width = levels[f"level.{i}"].shape[1]
        hidden = width if i == 3 else 2 * width
        for j, (inner, outer) in enumerate(((width, hidden), (hidden, width))):
            name = f"backbone.0.diff_ftex.act_postprocess.{i}.{j}"
            tensors |= {f"{name}.weight": torch.eye(outer, inner)[..., None, None], f"{name}.bias": torch.zeros(outer)}
    save_head(read_head(tensors), folder)


def read_head_folder(folder: Path) -> None:
    from vdprobe.head.files import load_head

    load_head(folder)


# the store


def make_store(folder: Path) -> None:
    store = FeatureStore.create(folder / "store")
    for condition in ("the bear", "a bear"):
        store_things.write(store, store_things.make_spec(), store_things.make_item(text=condition))


def read_store(folder: Path) -> None:
    store = FeatureStore.open(folder / "store")
    list(verify(store))
    store.specs()
    for item in store.items():
        for tap in store_things.TAPS:
            item.read(tap, 50)


def export_store(folder: Path) -> None:
    store = FeatureStore.open(folder / "store")
    for spec in store.specs():
        export_hdf5(store, spec.key, folder / f"{spec.key[:8]}.h5")


READERS = (
    *(Reader(f"video {suffix}", partial(make_video, suffix), read_video) for suffix in CONTAINERS),
    *(Reader(f"pictures {suffix}", partial(make_pictures, suffix), read_pictures) for suffix in PICTURES),
    Reader("masks", make_masks, read_masks, "masks/**/*"),
    Reader("ref-ytvos", make_ytvos, partial(read_dataset, "ref-ytvos"), "data/**/*.json"),
    Reader(
        "ref-davis17", lambda f: published.write_davis17(f / "data"), partial(read_dataset, "ref-davis17"), "**/*.txt"
    ),
    Reader("mevis", lambda f: published.write_mevis(f / "data"), partial(read_dataset, "mevis"), "**/*.json"),
    Reader("a2d", lambda f: published.write_a2d(f / "data"), partial(read_dataset, "a2d"), "**/*.json"),
    Reader("a2d masks", lambda f: published.write_a2d(f / "data"), partial(read_dataset, "a2d"), "**/*.h5"),
    Reader("jhmdb", lambda f: published.write_jhmdb(f / "data"), partial(read_dataset, "jhmdb"), "**/*.json"),
    Reader("jhmdb masks", lambda f: published.write_jhmdb(f / "data"), partial(read_dataset, "jhmdb"), "**/*.mat"),
    Reader("refcoco", lambda f: published.write_refcoco(f / "data"), partial(read_dataset, "refcoco"), "**/*.json"),
    Reader("refcoco refs", lambda f: published.write_refcoco(f / "data"), partial(read_dataset, "refcoco"), "**/*.p"),
    *(Reader(f"texts {s}", partial(make_texts, s), partial(read_texts, s), f"texts{s}") for s in (".json", ".csv")),
    Reader("evaluate folder", partial(make_predictions, False), partial(evaluate_videos, "masks"), "masks/**/*"),
    Reader("evaluate zip", partial(make_predictions, True), partial(evaluate_videos, "masks.zip"), "masks.zip"),
    Reader("evaluate truth", partial(make_predictions, False), partial(evaluate_videos, "masks"), "data/train/**/*"),
    Reader("evaluate JSON", make_results, partial(evaluate_images, "results.json", "data"), "results.json"),
    Reader("evaluate zipped JSON", make_results, partial(evaluate_images, "results.zip", "data"), "results.zip"),
    Reader("evaluate COCO", make_coco, partial(evaluate_images, "results.json", "truth.json"), "truth.json"),
    Reader("submit", partial(make_predictions, True), partial(check_zip, False), "masks.zip"),
    Reader("submit for a dataset", partial(make_predictions, True), partial(check_zip, True), "data/**/*.json"),
    Reader("spec", make_spec, read_spec),
    Reader("assignments", make_assignments, read_assignments),
    Reader("model configuration", make_model, read_model, "**/*.json", cases=4),
    *(Reader(f"weights {s}", partial(make_weights, s), partial(read_weights, s)) for s in (".safetensors", ".bin")),
    Reader("sharded weights", make_sharded, read_sharded),
    Reader("adapter", make_adapter, read_adapter),
    Reader("official checkpoint", make_official, read_official),
    Reader("head", make_head, read_head_folder),
    Reader("store", make_store, read_store),
    Reader("store export", make_store, export_store),
)
