"""Video Swin's sizes, taps and strides."""

VIDEO_SWIN, RANDOM_VIDEO_SWIN = "video-swin:", "random-video-swin:"
WIDTHS = {"t": 96, "s": 96, "b": 128}
"""Size to the channels of the first stage; each stage has twice as many as the one before."""
STRIDES = {f"video-swin.stage.{i}": 4 * 2**i for i in range(4)}
"""Tap to its pixels per place: the strides of VD-IT's four levels."""


def padded_to(height: int, width: int) -> tuple[int, int]:
    """The (height, width) that the network sees: whole places of the last stage, whichever taps are asked for."""
    coarsest = max(STRIDES.values())
    return -(-height // coarsest) * coarsest, -(-width // coarsest) * coarsest
