"""CLIP text and vision: captions against single frames, with hard distractors in every batch.

    python experiments/pretrain/clip.py --out runs/tiny-t2v

A batch holds families of scenes that differ in one property of one object, so that matching a caption takes
every word. While it trains, each patch's token also has to tell shape, colour and texture of what it shows
(linear maps that are thrown away): contrast alone is slow to find shapes.

The text model has no projection of its own (its end token is the text's embedding) and the picture is
projected into its width: so image tokens after CLIP's projection are of the width that the UNet's
cross-attention takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from loop import Schedule, read_options, train
from tokenizer import make_tokenizer
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection

from vdprobe.data.moving_shapes.language import caption, seen_frames
from vdprobe.data.moving_shapes.render import render
from vdprobe.data.moving_shapes.sample import Draws
from vdprobe.data.moving_shapes.scene import COLOURS, SHAPES, TEXTURES, Scene
from vdprobe.data.moving_shapes.splits import split_scene, split_seed
from vdprobe.data.moving_shapes.variants import vary

WIDTH = 128
TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 4 * WIDTH,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 77,
    "hidden_act": "gelu",
    "projection_dim": WIDTH,
}
VISION = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "image_size": 128,
    "patch_size": 16,
    "hidden_act": "gelu",
    "projection_dim": WIDTH,
}
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""What CLIP's image processor takes away and divides by."""
STEPS = 3500
FAMILIES, FAMILY = 12, 8
RATE = 8e-4
PATCHES = 1.0
"""Weight of the patches' loss beside the contrast."""
KINDS = (len(SHAPES) + 1, len(COLOURS) + 1, len(TEXTURES) + 1)
FIRST_SCENE = 20_000_000


@dataclass(frozen=True)
class Frame:
    """A picture, what is said of it, and (shape, colour, texture) of each of its 64 patches, 0 for the ground."""

    pixels: np.ndarray
    text: str
    patches: np.ndarray


def family(scene: Scene, draws: Draws, size: int, *, motion: bool) -> list[Frame]:
    """`size` frames: of a scene and of others that differ from it in one property.

    All captions are different, and name what shows by half or more. A scene without such an object
    gives nothing, one that can hardly be varied gives what it can.
    """
    moment = int(draws.number() * scene.frames)
    frames: list[Frame] = []
    meanings: set[tuple[object, ...]] = set()
    candidate, named = scene, ()
    for _ in range(6 * size):
        drawn = render(candidate, only=[moment])
        shows = (drawn.visible[0] >= 0.5 * drawn.full[0]) & seen_frames(drawn)[0]
        seen = tuple(int(k) for k in np.flatnonzero(shows))
        meaning = _meaning(candidate, seen)
        if seen and meaning not in meanings:
            meanings.add(meaning)
            text = caption(candidate, draws, objects=seen, motion=motion and draws.chance(0.5))
            frames.append(Frame(drawn.frames[0], text, _patches(candidate, drawn.labels[0])))
        if len(frames) == size or not (seen or frames):
            break
        named = named or seen
        candidate = vary(scene, draws, objects=named)
    return frames


def _patches(scene: Scene, labels: np.ndarray) -> np.ndarray:
    """(64, 3): what covers the largest part of each patch of 16x16."""
    shares = np.stack([(labels == k).reshape(8, 16, 8, 16).mean(axis=(1, 3)) for k in range(len(scene.objects) + 1)])
    kinds = [(0, 0, 0)]
    for thing in scene.objects:
        names = (SHAPES.index(thing.shape), list(COLOURS).index(thing.colour), TEXTURES.index(thing.texture))
        kinds.append(tuple(k + 1 for k in names))
    return np.array(kinds)[shares.argmax(axis=0)].reshape(64, 3)


def _meaning(scene: Scene, seen: tuple[int, ...]) -> tuple[object, ...]:
    """What a caption says of the seen objects, in no order."""
    things = (scene.objects[k] for k in seen)
    return tuple(sorted((o.colour, o.shape, o.texture, "" if o.size == "medium" else o.size) for o in things))


def batch(step: int, families: int) -> tuple[Tensor, list[str], Tensor]:
    """Frames (N, 128, 128, 3), captions and patches of a training step, from scenes that no other step has.

    Every other scene keeps one of its objects: where there is but one, words are soon tied to what they mean.
    """
    frames: list[Frame] = []
    index = FIRST_SCENE + 2 * step * families
    while len(frames) < families * FAMILY:
        scene, draws = split_scene("train", index), Draws(split_seed("train", index), 2)
        if index % 2:
            scene = replace(scene, objects=(draws.pick(scene.objects),))
        frames += family(scene, draws, FAMILY, motion=True)
        index += 1
    frames = frames[: families * FAMILY]
    pixels, patches = (
        torch.from_numpy(np.stack(v)) for v in zip(*((f.pixels, f.patches) for f in frames), strict=True)
    )
    return pixels, [frame.text for frame in frames], patches


def normalised(frames: Tensor) -> Tensor:
    """(N, 3, H, W) as CLIP's image processor gives them, from uint8 frames (N, H, W, 3)."""
    pixels = frames.permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v, device=pixels.device).view(3, 1, 1) for v in (MEAN, STD))
    return (pixels - mean) / std


class Clip(nn.Module):
    """Both towers and the temperature."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        self.tokenizer = tokenizer
        self.text = CLIPTextModel(CLIPTextConfig(**TEXT, **ends, pad_token_id=1, vocab_size=len(tokenizer)))
        self.vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION))
        self.tell = nn.Linear(VISION["hidden_size"], sum(KINDS))  # for the training alone
        self.log_scale = nn.Parameter(torch.tensor(2.659))  # 1 / 0.07, as CLIP starts

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Unit vectors (N, WIDTH). Attention is causal, so padding to the batch's longest changes nothing."""
        ids = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt").input_ids.to(
            self.log_scale.device
        )
        return F.normalize(self.text(ids).pooler_output.float(), dim=-1)

    def embed_frames(self, frames: Tensor) -> Tensor:
        """Unit vectors (N, WIDTH) of uint8 frames (N, H, W, 3)."""
        return self.see(frames)[0]

    def see(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the tokens of the patches (N, 64, width)."""
        seen = self.vision(pixel_values=normalised(frames.to(self.log_scale.device)))
        return F.normalize(seen.image_embeds.float(), dim=-1), seen.last_hidden_state[:, 1:]


@torch.no_grad()
def whiten(clip: Clip, frames: Tensor) -> None:
    """Starts the patch embedding at the whitened principal components of patches.

    Random filters see little but a patch's mean colour, and training is slow to find stripes and edges behind it.
    """
    embedding = clip.vision.vision_model.embeddings.patch_embedding
    width, _, side, _ = embedding.weight.shape
    patches = F.unfold(normalised(frames), side, stride=side).transpose(1, 2).flatten(0, 1)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    filters = (vectors[:, -width:] / (values[-width:] + 1e-2).sqrt()).T
    embedding.weight.copy_(filters.unflatten(1, (3, side, side)))


def patch_loss(told: Sequence[Tensor], truth: Tensor) -> Tensor:
    """Cross-entropy of shape, colour and texture, (N, kinds) each, against truth (N, 3); the ground counts a fifth."""
    weight = torch.where(truth[:, 0] > 0, 1.0, 0.2)
    losses = [F.cross_entropy(guess, kind, reduction="none") for guess, kind in zip(told, truth.T, strict=True)]
    return (torch.stack(losses).sum(dim=0) * weight).sum() / weight.sum()


def retrieval(clip: Clip, split: str = "val", count: int = 100) -> np.ndarray:
    """Whether each caption finds its frame among 32: its own family (up to 8 near copies) and other scenes."""
    families = []
    index = 0
    while len(families) < count + 4:
        frames = family(split_scene(split, index), Draws(split_seed(split, index), 2), 8, motion=False)
        index += 1
        if len(frames) > 1:
            pixels = torch.from_numpy(np.stack([frame.pixels for frame in frames]))
            families.append((clip.embed_frames(pixels), clip.embed_texts([frames[0].text])))
    right = []
    for k in range(count):
        own, text = families[k]
        others = torch.cat([f for f, _ in families[k + 1 : k + 32] + families[:31]])[: 32 - len(own)]
        scores = torch.cat([own, others]) @ text[0]
        right.append(float(scores.argmax() == 0))
    return np.array(right)


def main() -> None:
    options = read_options(__doc__, steps=STEPS, families=FAMILIES)
    torch.manual_seed(0)
    clip = Clip(make_tokenizer()).to(options.device)
    whiten(clip, torch.cat([batch(step, options.families)[0] for step in range(4)]).to(options.device))

    def loss(ready: tuple[Tensor, list[str], Tensor]) -> dict[str, Tensor]:
        frames, texts, patches = ready
        with torch.autocast(options.device, torch.bfloat16):
            (pictures, tokens), words = clip.see(frames), clip.embed_texts(texts)
            told = clip.tell(tokens).float().flatten(0, 1).split(KINDS, dim=1)
        scores = clip.log_scale.clamp(max=4.6).exp() * words @ pictures.T
        own = torch.arange(len(texts), device=scores.device)
        contrast = (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
        local = patch_loss(told, patches.to(scores.device).flatten(0, 1))
        right = (scores.argmax(dim=1) == own).float().mean()
        return {"total": contrast + PATCHES * local, "contrast": contrast, "patches": local, "top1": right}

    def validate() -> dict[str, float]:
        return {"val_top1_of_32": float(retrieval(clip).mean())}

    train(
        options.out / "clip",
        clip,
        partial(batch, families=options.families),
        loss,
        Schedule(options.steps, RATE, weight_decay=0.1),
        validate=validate,
        validate_every=500,
    )


if __name__ == "__main__":
    main()
