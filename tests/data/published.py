"""Small datasets in their published layouts, written for the tests of this folder."""

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat
from synthetic_media import write_frames, write_video

from vdprobe.data.rle import encode_rle

HEIGHT, WIDTH = 12, 16
"""Of every frame that is a picture."""


def box(top: int, left: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A mask of 4 x 5 pixels."""
    out = np.zeros((height, width), dtype=bool)
    out[top : top + 4, left : left + 5] = True
    return out


def write_json(path: Path, value) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def write_labels(folder: Path, count: int = 3, ids=(1, 2)) -> Path:
    """Palette masks: object k is a box that moves down by a pixel a frame."""
    folder.mkdir(parents=True)
    for frame in range(count):
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        for k, id in enumerate(ids):
            labels[box(frame, 1 + 6 * k)] = id
        mask = Image.fromarray(labels)
        mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        mask.save(folder / f"{frame:05d}.png")
    return folder


STEMS = ["00000", "00005", "00010"]


def write_ytvos(root: Path) -> Path:
    """Train with masks; valid lists three videos, of which test lists one; no meta.json."""
    train = {"003234408d": {"expressions": {str(i): {"exp": f"text {i}", "obj_id": str(1 + i // 2)} for i in range(4)}}}
    hidden = {
        id: {"expressions": {"0": {"exp": "a"}, "1": {"exp": "b"}}} for id in ("0062f687f1", "00f88c4f0a", "01c7")
    }
    splits = {"train": train, "valid": hidden, "test": {"01c7": hidden["01c7"]}}
    for split, videos in splits.items():
        listed = {id: entry | {"frames": STEMS} for id, entry in videos.items()}
        write_json(root / "meta_expressions" / split / "meta_expressions.json", {"videos": listed})
        for id in videos:
            for kind in ("JPEGImages", *(["Annotations"] if split == "train" else [])):
                folder = root / split / kind / id
                if kind == "JPEGImages":
                    write_frames(folder, suffix=".jpg")
                else:
                    write_labels(folder)
                for k in (2, 1):
                    (old,) = folder.glob(f"0000{k}.*")
                    old.rename(old.with_stem(STEMS[k]))
    return root


TEXTS = {
    "annot1": 'clasic-car 1 "a green car"\ndogs-jump 2 "a white dog"\ndogs-jump 1 "a  black dog "\n',
    "annot1_full_video": 'clasic-car 1 "a car turning"\ndogs-jump 1 "a dog jumping"\ndogs-jump 2 "a dog running"\n',
    "annot2": 'clasic-car 1 "a caf\u00e9 car"\ndogs-jump 1 "the left dog"\ndogs-jump 2 "the right dog"\n',
    "annot2_full_video": 'clasic-car 1 "the car"\ndogs-jump 1 "dog one"\ndogs-jump 2 "dog two"\n',
}


def write_davis17(root: Path, inner: str = "DAVIS", masks=("Annotations_unsupervised",)) -> Path:
    """classic-car (one object) in train, dogs-jump (two) in val; as unpacked from the three archives."""
    folder = root / inner
    for name, text in TEXTS.items():
        file = root / "davis_text_annotations" / f"Davis17_{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("latin-1" if "annot2" in name else "utf-8"))
    for split, video, ids in (("train", "classic-car", (1,)), ("val", "dogs-jump", (1, 2))):
        lists = folder / "ImageSets" / "2017"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text(video + "\n")
        write_frames(folder / "JPEGImages" / "480p" / video, suffix=".jpg")
        for kind in masks:
            write_labels(folder / kind / "480p" / video, ids=ids)
    return root


def write_mevis(root: Path) -> Path:
    """valid_u: objects 3 and 4 overlap, 4 is gone in frame 1; one text means both, one nothing. valid hides them."""
    expressions = {
        "0": {"exp": "the bird that flies away", "obj_id": [0], "anno_id": [3]},
        "1": {"exp": "the two birds", "obj_id": [0, 1], "anno_id": [3, 4]},
        "2": {"exp": "the elephant", "obj_id": [], "anno_id": []},
    }
    stems = ["00000", "00001", "00002"]
    told = {"8d90": {"vid_id": 0, "frames": stems, "expressions": expressions}}
    hidden = {"0f3f": {"vid_id": 1, "frames": stems, "expressions": {"0": {"exp": "a walking dog"}}}}
    for split, videos in (("valid_u", told), ("valid", hidden)):
        write_json(root / split / "meta_expressions.json", {"videos": videos})
        for id in videos:
            write_frames(root / split / "JPEGImages" / id, suffix=".jpg")
    masks = {
        "3": [encode_rle(box(k, 2)) for k in range(3)],
        "4": [None if k == 1 else encode_rle(box(k, 4)) for k in range(3)],
    }
    write_json(root / "valid_u" / "mask_dict.json", masks)
    return root


def write_a2d(root: Path) -> Path:
    """Video vA: instances 0 and 2 in frame 2, which overlap; 2 alone in frame 5. vB: in test."""
    clips = root / "Release" / "clips320H"
    clips.mkdir(parents=True)
    for id in ("vA", "vB"):
        write_video(clips / f"{id}.mp4", 6)
    (root / "Release" / "videoset.csv").write_text("vA,1,0,0,1,2,48,64,6,0\n")
    masks = root / "text_annotations" / "a2d_annotation_with_instances"
    one, two = box(3, 4, 48, 64), box(5, 6, 48, 64)
    for id, frame, ids, found in (
        ("vA", 2, [0, 2], np.stack([one, two])),
        ("vA", 5, [2], two),
        ("vB", 1, [1], one),
    ):
        (masks / id).mkdir(parents=True, exist_ok=True)
        with h5py.File(masks / id / f"{frame:05d}.h5", "w") as file:
            file["instance"] = np.array(ids, dtype=np.uint8)
            file["reMask"] = np.swapaxes(found, -1, -2).astype(np.uint8)
            file["reBBox"] = np.zeros((4, len(ids)))
    train = [["a Ball rolling", "vA", 2, 0], ["a cat jumping", "vA", 2, 2], ["a cat jumping", "vA", 5, 2]]
    write_json(root / "a2d_sentences_single_frame_train_annotations.json", train)
    write_json(root / "a2d_sentences_single_frame_test_annotations.json", [["a bird", "vB", 1, 1]])
    return root


def write_jhmdb(root: Path) -> Path:
    """One video of four frames, three of them with a sample and a mask."""
    folder = Path("Rename_Images") / "catch" / "Goal_catch_0"
    write_frames(root / folder, 4)
    for k in (3, 2, 1, 0):
        (root / folder / f"{k:05d}.png").rename(root / folder / f"{k + 1:05d}.png")
    mat = Path("puppet_mask") / "catch" / "Goal_catch_0" / "puppet_mask.mat"
    (root / mat).parent.mkdir(parents=True)
    savemat(root / mat, {"part_mask": np.stack([box(k, k + 3) for k in range(3)], axis=-1).astype(np.uint8)})
    before = Path("jhmdb_sentences")
    samples = [
        ["Goal_catch_0", str(before / folder / f"{k:05d}.png"), str(before / mat), 4, "man catching a ball"]
        for k in (1, 2, 3)
    ]
    write_json(root / "jhmdb_sentences_samples_metadata.json", samples)
    return root


def write_refcoco(root: Path, name: str = "refcoco", by: str = "unc") -> Path:
    """Picture 9 in val with an object in polygons and one in run lengths; picture 25 in testA."""
    (root / "train2014").mkdir(parents=True, exist_ok=True)
    for id in (9, 25):
        Image.new("RGB", (WIDTH, HEIGHT)).save(root / "train2014" / f"COCO_train2014_{id:012d}.jpg")
    refs = []
    for ref, image, annotation, split in ((0, 9, 101, "val"), (1, 9, 102, "val"), (2, 25, 103, "testA")):
        texts = [f"Left man {ref}!", f"man {ref}"]
        refs.append(
            {
                "ref_id": ref, "image_id": image, "ann_id": annotation, "split": split, "category_id": 1,
                "file_name": f"COCO_train2014_{image:012d}_{ref}.jpg", "sent_ids": [2 * ref, 2 * ref + 1],
                "sentences": [
                    {"raw": t, "sent": t.lower().strip("!"), "sent_id": 2 * ref + i, "tokens": t.split()}
                    for i, t in enumerate(texts)
                ],
            }
        )  # fmt: skip
    folder = root / name
    folder.mkdir(parents=True)
    (folder / f"refs({by}).p").write_bytes(pickle.dumps(refs, protocol=2))
    counts = np.diff(np.flatnonzero(np.diff(np.concatenate([[2], box(2, 3).T.ravel(), [2]])))).tolist()
    polygons = [[2, 1, 9, 1, 9, 7, 2, 7], [11, 8, 15, 8, 15, 11, 11, 11]]
    annotations = [
        {"id": 101, "image_id": 9, "bbox": [2, 1, 13, 10], "segmentation": polygons},
        {"id": 102, "image_id": 9, "bbox": [3, 2, 5, 4], "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}},
        {"id": 103, "image_id": 25, "bbox": [1, 1, 5, 4], "segmentation": encode_rle(box(1, 1))},
    ]
    images = [{"id": id, "height": HEIGHT, "width": WIDTH} for id in (9, 25)]
    write_json(folder / "instances.json", {"images": images, "annotations": annotations})
    return root
