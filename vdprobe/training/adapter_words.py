"""What is left of the words behind an adapter, and what it adds of the picture; nothing here is trained on.

Texts name the first objects of a video, one after the other. Each measure has the text encoder's own tokens beside it.
Shape letters: F frames, L text tokens, N places of a layer, H W height and width, h w those of a layer.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vdprobe.data.masks import prepare_labels, read_labels
from vdprobe.data.object_attributes import object_attributes
from vdprobe.data.video import Video
from vdprobe.models.diffusion.conditions import make_condition
from vdprobe.models.diffusion.noise import add_noise, make_noise
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.tokens import TextTokens
from vdprobe.models.unet3d.load import load_unet
from vdprobe.models.unet3d.network import TappedUNet3D
from vdprobe.specs.clip import Clip
from vdprobe.specs.features import LatentSampling, Noise
from vdprobe.training.frozen import EncodedClip, FrozenModel
from vdprobe.training.referring_clips import ReferringClip

GAP_TIMESTEP, POINTING_TIMESTEP = 600, 50
"""Where a text matters most for the noise that is predicted, and where the picture shows best what is where."""
OBJECTS = 4
"""Objects that a text names at most, so that it fits the text encoder."""
SEEN = 0.0025
"""The share of a frame that an object fills at least to count as seen."""
KINDS = {"colour": "colour", "shape": "category", "texture": "texture"}
"""What words may be of, and what datasets call that."""
Words = dict[str, float | None]
"""Measure to its value, None where the condition or the dataset has nothing to measure."""


@dataclass(frozen=True)
class Sample:
    """A clip with the text about it: encodings, the text's tokens, which object is where."""

    clip: ReferringClip
    encoded: EncodedClip
    text: str
    tokens: TextTokens

    @property
    def video(self) -> Video:
        """The clip's video."""
        return self.clip.referral.video


@torch.no_grad()
def measure_words(frozen: FrozenModel, pipeline: Pipeline, clips: Sequence[ReferringClip]) -> dict[str, Words]:
    """Of the text's own tokens (`text`) and of those that the adapter makes (`adapter`):

    - `cosine`: of a word's token with the text's own.
    - `text_gap`: by how much the loss of the noise at t = 600 rises with another video's text, over the loss.
    - `points_colour`, `points_shape`, `points_texture`: how often a word's cross-attention at t = 50, over that of the
      whole text, is highest on an object of which it is true; `chance_...`: what guessing would give. In the layer of
      the finest that does best with the text's own tokens, of datasets that tell what their objects look like.
    - `over_pictures`: variance of a token over pictures with the text fixed; `over_texts`: the other way round.
    """
    if pipeline.denoiser_class != "UNet3DConditionModel":  # whose cross-attentions and output are read here
        return {}
    samples = [_sample(frozen, clip) for clip in clips]
    unet = load_unet(pipeline, ["unet.out"], frozen.backbone.dtype, frozen.backbone.device)
    ways = {"text": False, "adapter": True}
    out: dict[str, Words] = {}
    layers: dict[str, str] = {}
    for name, adapted in ways.items():
        found: Words = {"cosine": None, "text_gap": None}
        if frozen.condition.uses_text:
            found |= {
                "cosine": float(np.mean([_cosine(frozen, sample, adapted) for sample in samples])),
                "text_gap": _text_gap(frozen, unet, samples, adapted),
            }
            points = _pointing(frozen, unet, samples, adapted)
            for kind, by_layer in points.items():
                best = layers.setdefault(kind, max(by_layer, key=lambda layer: float(np.mean(by_layer[layer][0]))))
                right, chance = by_layer[best]
                found |= {f"points_{kind}": float(np.mean(right)), f"chance_{kind}": float(np.mean(chance))}
        out[name] = found | _variances(frozen, samples, adapted)
    return out


def tell(words: Mapping[str, Mapping[str, Words]]) -> Iterator[str]:
    """Lines on what a training has changed, from its `before` and `after`."""
    for name, own in words["after"]["text"].items():
        before, after = words.get("before", {}).get("adapter", {}).get(name), words["after"]["adapter"][name]
        if after is not None and not name.startswith("chance_"):
            started = "" if before is None else f"{before:.4f} before, "
            yield f"{name}: {started}{after:.4f} after, {_or_none(own)} with the text's own tokens"


def _or_none(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _sample(frozen: FrozenModel, clip: ReferringClip) -> Sample:
    video = clip.referral.video
    first = {e.object_ids: e.text for e in reversed(video.expressions) if e.object_ids and e.frame is None}
    own = {clip.referral.object_ids: clip.referral.expression.text}
    text = ", ".join(list((own | {ids: text for ids, text in first.items() if ids not in own}).values())[:OBJECTS])
    return Sample(clip, frozen.encode(video, clip.frames), text, frozen.read(text))


def _condition(
    frozen: FrozenModel, sample: Sample, adapted: bool, tokens: TextTokens | None = None
) -> Float[Tensor, "F M D"]:
    """The tokens of each frame, of the sample's text or of another."""
    hidden, frames = (tokens or sample.tokens).hidden, len(sample.clip.frames)
    if not adapted:
        return hidden.expand(frames, -1, -1)
    return make_condition(frozen.condition, frames, hidden, sample.encoded.image, frozen.adapter)


def _cosine(frozen: FrozenModel, sample: Sample, adapted: bool) -> float:
    own = sample.tokens.hidden[: sample.tokens.count]
    made = _condition(frozen, sample, adapted)[:, : len(own)]
    return float(functional.cosine_similarity(made, own.expand_as(made), dim=-1).mean())


def _variances(frozen: FrozenModel, samples: Sequence[Sample], adapted: bool) -> Words:
    """Of the tokens that are of a word in both texts, and of all of image tokens."""
    first = samples[0]
    if not frozen.condition.uses_text:
        if not adapted:
            return {"over_pictures": None, "over_texts": None}
        images = torch.stack([_condition(frozen, sample, True).mean(0) for sample in samples])
        return {"over_pictures": float(images.var(0, correction=0).mean()), "over_texts": None}
    words = min(sample.tokens.count for sample in samples)
    pictures = [_condition(frozen, sample, adapted, first.tokens)[0, :words] for sample in samples]
    texts = [_condition(frozen, first, adapted, sample.tokens)[0, :words] for sample in samples]
    over = [float(torch.stack(tokens).var(0, correction=0).mean()) for tokens in (pictures, texts)]
    return {"over_pictures": over[0], "over_texts": over[1]}


def _predict(
    frozen: FrozenModel, unet: TappedUNet3D, sample: Sample, tokens: Float[Tensor, "F M D"], t: int
) -> tuple[Float[Tensor, "F C h w"], Float[Tensor, "F C h w"]]:
    """The noise as it is predicted, and as it was."""
    backbone, clip = frozen.backbone, Clip(sample.video.id, sample.clip.frames)
    latents = backbone.video.latents(sample.encoded.frames, LatentSampling(kind="mode", seed=None), clip)
    noise = make_noise(Noise(kind="gaussian", seed=frozen.config.seed), latents, clip, None)
    assert noise is not None
    noisy = add_noise(latents, noise, backbone.process.level(t))[None].to(backbone.device, backbone.dtype)
    out = unet(noisy, torch.tensor(t, device=backbone.device), tokens[None].to(backbone.device, backbone.dtype))
    return out["conv_out"][0], noise.transpose(0, 1).to(backbone.device)


def _text_gap(frozen: FrozenModel, unet: TappedUNet3D, samples: Sequence[Sample], adapted: bool) -> float | None:
    own: list[float] = []
    other: list[float] = []
    for number, sample in enumerate(samples):
        strangers = [s for s in (*samples[number + 1 :], *samples[:number]) if s.video.id != sample.video.id]
        if not strangers:
            return None
        for losses, tokens in ((own, sample.tokens), (other, strangers[0].tokens)):
            condition = _condition(frozen, sample, adapted, tokens)
            predicted, noise = _predict(frozen, unet, sample, condition, GAP_TIMESTEP)
            losses.append(float((predicted - noise).square().mean()))
    return float(np.mean(other) / np.mean(own) - 1)


class _Kept(AttnProcessor):  # type: ignore[misc]  # diffusers has no types
    """Plain attention whose probabilities are kept, the mean over its heads."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Float[Tensor, "F N L"] = torch.empty(0, 0, 0)

    def __call__(self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any) -> Tensor:
        query, key, value = (
            attn.head_to_batch_dim(layer(x))
            for layer, x in (
                (attn.to_q, hidden_states),
                (attn.to_k, encoder_hidden_states),
                (attn.to_v, encoder_hidden_states),
            )
        )
        probabilities = attn.get_attention_scores(query, key)
        self.kept = probabilities.unflatten(0, (-1, attn.heads)).mean(1).float()
        return attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(probabilities @ value)))


def _pointing(
    frozen: FrozenModel, unet: TappedUNet3D, samples: Sequence[Sample], adapted: bool
) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """Kind of word to layer to (whether each word is right, by chance)."""
    keepers: dict[str, _Kept] = {}
    for name, module in unet.unet.named_modules():
        if isinstance(module, Attention) and name.endswith("attn2") and "temp" not in name and "_in" not in name:
            keepers[name] = _Kept()
            module.set_processor(keepers[name])
    found: dict[str, dict[str, tuple[list[float], list[float]]]] = defaultdict(lambda: defaultdict(lambda: ([], [])))
    for sample in samples:
        spoken = list(_spoken(frozen, sample))
        if not spoken:
            continue
        _predict(frozen, unet, sample, _condition(frozen, sample, adapted), POINTING_TIMESTEP)
        finest = max(keeper.kept.shape[1] for keeper in keepers.values())
        labels = torch.from_numpy(
            prepare_labels(read_labels(sample.video, sample.clip.frames), frozen.config.resize).astype(np.int64)
        )
        for name, keeper in keepers.items():
            if keeper.kept.shape[1] == finest:
                for kind, places, ids, others in spoken:
                    for right, chance in _judge(keeper.kept, labels, places, sample.tokens.count, ids, others):
                        found[kind][name][0].append(right)
                        found[kind][name][1].append(chance)
    return found


def _spoken(frozen: FrozenModel, sample: Sample) -> Iterator[tuple[str, list[int], set[int], set[int]]]:
    """Words of the text that are true of some objects: (kind, places in the text, of which they are true, or not)."""
    looks = {int(id): words for id, words in object_attributes(sample.video).items() if id.isdigit()}
    tokenizer = frozen.text_encoder.tokenizer
    encoded = tokenizer(sample.text, truncation=True, max_length=frozen.text_encoder.length).input_ids
    for kind, theirs in KINDS.items():
        for word in sorted({words[theirs] for words in looks.values() if theirs in words}):
            token = tokenizer(word).input_ids[1:-1]
            places = [place for place, id in enumerate(encoded) if [id] == token]
            ids = {id for id, words in looks.items() if words.get(theirs) == word}
            if places and len(ids) < len(looks):
                yield kind, places, ids, set(looks) - ids


def _judge(
    kept: Float[Tensor, "F N L"],
    labels: Tensor,
    places: Sequence[int],
    count: int,
    ids: set[int],
    others: set[int],
) -> Iterator[tuple[float, float]]:
    """Of each frame that shows objects of both kinds: whether the word points at one of which it is true, by chance."""
    height, width = labels.shape[1:]
    across = round((kept.shape[1] * width / height) ** 0.5)
    size = (kept.shape[1] // across, across)
    maps = (kept[:, :, places].mean(2) - kept[:, :, 1 : count - 1].mean(2)).cpu().unflatten(1, size)
    for frame, map in zip(labels, maps, strict=True):
        seen = [id for id in sorted(ids | others) if float((frame == id).float().mean()) >= SEEN]
        if not set(seen) & ids or not set(seen) & others:
            continue
        covers = {id: functional.adaptive_avg_pool2d((frame == id).float()[None, None], size)[0, 0] for id in seen}
        heights = {id: float((map * cover).sum() / cover.sum()) for id, cover in covers.items()}
        yield float(max(heights, key=lambda id: heights[id]) in ids), len(set(seen) & ids) / len(seen)
