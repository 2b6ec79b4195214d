"""Pictures as the CLIP of image-to-video models was given them.

Shape letters: B pictures, H W height and width, S side of CLIP's pictures.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor


def squeezed(frame: Float[Tensor, "B 3 H W"], side: int) -> Float[Tensor, "B 3 S S"]:
    """A frame in [-1, 1] blurred and squeezed to a square, nothing cut off, in [0, 1] (SVD).

    The blur is a Gaussian of (pixels per place - 1) / 2, over two of its deviations to each side, as in SVD's pipeline.
    """
    height, width = frame.shape[2:]
    blurred = frame
    for dim, size in ((3, width), (2, height)):
        sigma = max((size / side - 1.0) / 2.0, 0.001)
        taps = int(max(4.0 * sigma, 3))
        blurred = _blur(blurred, taps + 1 - taps % 2, sigma, dim)
    return (F.interpolate(blurred, size=(side, side), mode="bicubic", align_corners=True) + 1.0) / 2.0


def _blur(picture: Float[Tensor, "B 3 H W"], taps: int, sigma: float, dim: int) -> Float[Tensor, "B 3 H W"]:
    places = torch.arange(taps, dtype=picture.dtype, device=picture.device) - taps // 2
    kernel = torch.exp(-places.pow(2.0) / (2 * torch.tensor(sigma, dtype=picture.dtype).pow(2.0)))
    kernel = kernel / kernel.sum()
    half = taps // 2
    padded = F.pad(picture, (half, half, 0, 0) if dim == 3 else (0, 0, half, half), mode="reflect")
    shape = (1, taps) if dim == 3 else (taps, 1)
    return F.conv2d(padded, kernel.reshape(1, 1, *shape).expand(3, -1, -1, -1), groups=3)


def centred(frame: Float[Tensor, "B 3 H W"], side: int) -> Float[Tensor, "B 3 S S"]:
    """The middle square of a frame in [-1, 1], in [0, 1], by way of integers 0..255 (I2VGen-XL).

    Its pipeline brings the square to the width of the frame first, by boxes, then to CLIP's side bilinearly.
    """
    width = frame.shape[3]
    pictures = []
    for pixels in ((frame.float().cpu() + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1):
        picture = Image.fromarray(pixels.numpy())
        scale = min(picture.width / width, picture.height / width)
        size = (round(picture.width // scale), round(picture.height // scale))  # a quotient just below is cut, as there
        picture = picture.resize(size, resample=Image.Resampling.BOX)
        left, top = (picture.width - width) // 2, (picture.height - width) // 2
        square = picture.crop((left, top, left + width, top + width))
        pictures.append(np.asarray(square.resize((side, side), Image.Resampling.BILINEAR)))
    return (torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255).to(frame.device)
