"""The trainable parts upstream of the denoiser: what VD-IT learns besides its head.

Structure and constants follow the official train_itcross_pn.py; every part is optional, because
each condition and noise type needs its own. A cache is valid for one adapter only: `fingerprint`
goes into its key.

Shape letters: F frames, L text tokens, N image tokens, D cross-attention width, V image width.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vdprobe.data.tensor_files import read_tensors, readable
from vdprobe.errors import ModelError, suggest

OFFICIAL_PREFIX = "backbone.0.diff_ftex."
OFFICIAL_NAMES = {
    "projection.": "image_projection.",
    "cross_attn.cros_attn.w_qs.": "text_image_attention.query.",
    "cross_attn.cros_attn.w_ks.": "text_image_attention.key.",
    "cross_attn.cros_attn.w_vs.": "text_image_attention.value.",
    "cross_attn.cros_attn.fc.": "text_image_attention.out.",
    "cross_attn.cros_attn.layer_norm.": "text_image_attention.norm1.",
    "cross_attn.pos_ffn.w_1.": "text_image_attention.linear1.",
    "cross_attn.pos_ffn.w_2.": "text_image_attention.linear2.",
    "cross_attn.pos_ffn.layer_norm.": "text_image_attention.norm2.",
    "noise_pred.": "noise_predictor.conv.",
    "noise_fc.0.": "noise_predictor.linear1.",
    "noise_fc.2.": "noise_predictor.linear2.",
}
"""Official name prefixes, and ours."""

HEAD_WIDTH = 64
"""Width of an attention head in the official adapter (16 heads at D = 1024)."""


class ResidualProjection(nn.Module):
    """x -> a(x) + b(a(x)), no activation (official `ResidualMLP`)."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width_in, width)
        self.linear2 = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "*b V"]) -> Float[Tensor, "*b D"]:
        """Image tokens to the width of the cross-attention."""
        projected = self.linear1(tokens)
        return self.linear2(projected) + projected


class TextProjection(nn.Module):
    """x -> x + b(a(x)): the trained projection of the VD-T arm (from the official compiled files)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, width)
        self.linear2 = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "*b D"]) -> Float[Tensor, "*b D"]:
        """Text tokens, nudged."""
        return tokens + self.linear2(self.linear1(tokens))


class TextImageAttention(nn.Module):
    """Text-guided image projection (paper eq. 1): each text token attends to a frame's image tokens."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)

    def forward(self, text: Float[Tensor, "F L D"], image: Float[Tensor, "F N D"]) -> Float[Tensor, "F L D"]:
        """One condition per frame, as long as the text."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # F heads tokens width
            for layer, x in ((self.query, text), (self.key, image), (self.value, image))
        )
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = self.norm1(self.out(attended) + text)
        return self.norm2(self.linear2(F.relu(self.linear1(x))) + x)


class NoisePredictor(nn.Module):
    """Video-specific noise (paper eq. 2), standardised over the whole clip as the official code does."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.linear1 = nn.Linear(channels, channels, bias=False)
        self.linear2 = nn.Linear(channels, channels, bias=False)

    def forward(self, latents: Float[Tensor, "C F H W"]) -> Float[Tensor, "C F H W"]:
        """Noise of mean 0 and deviation 1 over all of one clip."""
        x = self.conv(latents.transpose(0, 1)).movedim(1, -1)  # F H W C
        noise = torch.sigmoid(self.linear2(F.relu(self.linear1(x)))).permute(3, 0, 1, 2)
        return (noise - noise.mean()) / (noise.std() + 1e-5)


class Adapter(nn.Module):
    """Up to four trained parts; a missing one is None.

    - `image_projection`: V -> D, for `vd-i`, `vd-it` and `concat`.
    - `text_image_attention`: for `vd-it`.
    - `text_projection`: for `vd-t`.
    - `noise_predictor`: for the noise `predicted`.
    """

    def __init__(
        self,
        *,
        image_projection: ResidualProjection | None = None,
        text_image_attention: TextImageAttention | None = None,
        text_projection: TextProjection | None = None,
        noise_predictor: NoisePredictor | None = None,
    ) -> None:
        super().__init__()
        self.image_projection = image_projection
        self.text_image_attention = text_image_attention
        self.text_projection = text_projection
        self.noise_predictor = noise_predictor

    def fingerprints(self) -> dict[str, str]:
        """Part to SHA-256 over its tensors' names, shapes and float32 values."""
        out: dict[str, str] = {}
        for part, module in self.named_children():
            digest = hashlib.sha256(f"heads={getattr(module, 'heads', None)}\n".encode())
            for name, tensor in sorted(module.state_dict().items()):
                digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
                digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
            out[part] = digest.hexdigest()
        return out

    def save(self, path: str | Path) -> None:
        """A safetensors file in our names; the number of heads is in its metadata."""
        heads = str(self.text_image_attention.heads) if self.text_image_attention is not None else ""
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, path, metadata={"heads": heads})  # one entry: safetensors writes several in any order


def make_adapter(
    *,
    width: int,
    image_width: int,
    latent_channels: int,
    heads: int | None = None,
    hidden: int | None = None,
    seed: int = 0,
) -> Adapter:
    """An untrained adapter with all four parts: where training starts, and a control.

    - `width`: D; `image_width`: V; `heads` and `hidden` default to D / 64 (at least 1) and D / 2.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Adapter(
            image_projection=ResidualProjection(image_width, width),
            text_image_attention=TextImageAttention(width, heads or max(1, width // HEAD_WIDTH), hidden or width // 2),
            text_projection=TextProjection(width),
            noise_predictor=NoisePredictor(latent_channels),
        )


def rename_official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Adapter tensors of an official VD-IT state dict under our names; other tensors are left out."""
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = name.removeprefix(OFFICIAL_PREFIX)
        for theirs, ours in OFFICIAL_NAMES.items():
            if short.startswith(theirs):
                out[ours + short.removeprefix(theirs)] = tensor
    return out


def load_adapter(path: str | Path, *, heads: int | None = None) -> Adapter:
    """An adapter from safetensors, in our names or the official ones, in float32.

    - `heads`: number of attention heads; by default the file's metadata, or D / 64.

    Raises `ModelError` for a missing or foreign file, or an incomplete part.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ModelError(f"no adapter at {path}; give the path of a .safetensors file")
    if path.suffix != ".safetensors":
        raise ModelError(f"{path} is no .safetensors file; an adapter must be one")
    tensors = {name: tensor.float() for name, tensor in read_tensors(path)}
    heads = heads or _heads(path)
    if any(name.removeprefix(OFFICIAL_PREFIX).startswith(tuple(OFFICIAL_NAMES)) for name in tensors):
        tensors = rename_official(tensors)
    return _assemble(tensors, heads, path)


def _heads(path: Path) -> int:
    """What the file's metadata say of attention heads, 0 for nothing."""
    with readable(path), safe_open(path, framework="pt") as file:
        told = (file.metadata() or {}).get("heads") or "0"
    if not (told.isascii() and told.isdecimal() and len(told) < 6):
        raise ModelError(f"{path} says that its attention has {told[:40]!r} heads, which is no number; save it again")
    return int(told)


def _assemble(tensors: Mapping[str, Tensor], heads: int, path: Path) -> Adapter:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = tensor
    known = ("image_projection", "text_image_attention", "text_projection", "noise_predictor")
    for part in parts:
        if part not in known:
            raise ModelError(f"{path} holds '{part}', which is no part of an adapter: {suggest(part, known)}")
    if not parts:
        raise ModelError(f"{path} holds no tensor of an adapter; its parts would be {', '.join(known)}")
    modules: dict[str, nn.Module] = {}
    for part, state in parts.items():
        try:
            modules[part] = _empty_part(part, state, heads)
            modules[part].load_state_dict(state)
        except (KeyError, RuntimeError, ValueError, ArithmeticError, AssertionError, IndexError) as error:
            detail = " ".join(str(error).split())
            raise ModelError(
                f"part '{part}' of the adapter {path} is incomplete or of other shapes: {detail}"
            ) from None
    return Adapter(**modules).eval().requires_grad_(False)  # type: ignore[arg-type]


def _empty_part(part: str, state: Mapping[str, Tensor], heads: int) -> nn.Module:
    if part == "image_projection":
        width, width_in = state["linear1.weight"].shape
        return ResidualProjection(width_in, width)
    if part == "text_projection":
        return TextProjection(state["linear1.weight"].shape[0])
    if part == "noise_predictor":
        return NoisePredictor(state["conv.weight"].shape[0])
    hidden, width = state["linear1.weight"].shape
    return TextImageAttention(width, heads or max(1, width // HEAD_WIDTH), hidden)
