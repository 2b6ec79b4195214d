"""A small made scene: a red disk and a blue square that pass each other over a textured ground."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

EXPRESSIONS = ("the red disk moving to the right", "the blue square moving to the left")


def draw_toy_scene(frames: int = 8, height: int = 128, width: int = 192, seed: int = 0) -> UInt8[np.ndarray, "F H W 3"]:
    """RGB frames; the same seed gives the same pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(90, 170, (height // 16, width // 16, 3))
    ground = np.kron(coarse, np.ones((16, 16, 1))) + rng.normal(0, 6, (height, width, 1))
    y, x = np.mgrid[:height, :width]
    video = []
    for k in range(frames):
        along = k / max(1, frames - 1)
        picture = ground.copy()
        left = width * (0.75 - 0.5 * along)
        square = (abs(x - left) < height * 0.16) & (abs(y - height * 0.62) < height * 0.16)
        picture[square] = (40, 70, 210)
        disk = (x - width * (0.2 + 0.6 * along)) ** 2 + (y - height * 0.4) ** 2 < (height * 0.18) ** 2
        picture[disk] = (205, 40, 40)
        video.append(picture)
    return np.clip(np.stack(video), 0, 255).astype(np.uint8)


def write_video(frames: UInt8[np.ndarray, "F H W 3"], path: Path, rate: int = 8) -> None:
    """An MPEG-4 file; sides must be even."""
    import av

    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
