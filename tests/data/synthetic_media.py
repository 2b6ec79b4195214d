"""Small videos and frames written for the tests of this folder."""

import json
from pathlib import Path

import av
import numpy as np
from PIL import Image


def picture(i: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture whose left edge and colours tell `i` from its neighbours."""
    y, x = np.mgrid[:height, :width]
    out = np.stack([(x * 3 + i * 5) % 256, (y * 4 + i * 2) % 256, (x + y + i) % 256], -1).astype(np.uint8)
    out[:, :8] = i % 256
    return out


def write_video(
    path: Path, frames: int = 130, *, codec: str = "libx264", movflags: str = "", pix_fmt: str = "yuv420p"
) -> Path:
    """A video with long, open groups of pictures and, for H.264, B-frames."""
    options = {"movflags": movflags} if movflags else {}
    with av.open(str(path), "w", options=options) as container:
        out = container.add_stream(codec, rate=24)
        out.width, out.height, out.pix_fmt = 64, 48, pix_fmt
        if codec == "libx264":
            out.options = {
                "preset": "ultrafast",
                "g": "60",
                "bf": "3",
                "x264-params": "scenecut=0:b-adapt=0:open-gop=1",
            }
        for i in range(frames):
            for packet in out.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24")):
                container.mux(packet)
        for packet in out.encode():
            container.mux(packet)
    return path


def decode_all(path: Path) -> np.ndarray:
    """Every frame, by plain sequential decoding."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def turn(path: Path, to: Path, degrees: int, **mirrored: bool) -> Path:
    """The same packets in a file that asks players to turn them against the clock."""
    with av.open(str(path)) as source, av.open(str(to), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        copy.set_display_rotation(degrees, **mirrored)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copy
                target.mux(packet)
    return to


def cut(path: Path, to: Path, part: float) -> Path:
    """The first part of a file."""
    content = path.read_bytes()
    to.write_bytes(content[: int(len(content) * part)])
    return to


def write_frames(folder: Path, count: int = 3, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(picture(i, 12, 16)).save(folder / f"{i:05d}{suffix}")
    return folder


def write_ref_davis(root: Path, videos: dict, images: str = "JPEGImages/480p", split: str = "valid") -> Path:
    """`videos` is what the JSON lists; three frames are written for each id that makes a folder name."""
    meta = root / "meta_expressions" / split
    meta.mkdir(parents=True, exist_ok=True)
    (meta / "meta_expressions.json").write_text(json.dumps({"videos": videos}), encoding="utf-8")
    for id in videos:
        if "/" not in id:
            write_frames(root / images / id, suffix=".jpg")
    return root
