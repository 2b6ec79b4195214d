"""HunyuanVideo's two text encoders: Llama 3 within a template, and one vector of CLIP.

Facts from diffusers' `pipeline_hunyuan_video.py`. Shape letters: L text tokens, D text width, P pooled width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from jaxtyping import Float
from torch import Tensor

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.clip_text import TextEncoder
from vdprobe.models.diffusion.parts import from_folder
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.tokens import TextTokens
from vdprobe.models.networks.tapped import load_onto_meta
from vdprobe.models.networks.weights import randomise
from vdprobe.models.transformer.t5 import check_embeddings

TEXT_LENGTH = 256
TEMPLATE = (
    "<|start_header_id|>system<|end_header_id|>\n\nDescribe the video by detailing the following aspects: "
    "1. The main content and theme of the video."
    "2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects."
    "3. Actions, events, behaviors temporal relationships, physical movement changes of the objects."
    "4. background environment, light, style and atmosphere."
    "5. camera angles, movements, and transitions used in the video:<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
)
LAYER = -3
"""Which hidden states of Llama are read: two layers before its last."""


@dataclass(frozen=True)
class HunyuanText:
    """Both tokenizers and encoders.

    - `crop`: tokens of the template before the text, which the denoiser does not get: 95 of Llama 3's.
    """

    tokenizer: Any
    text_encoder: Any
    clip: TextEncoder
    crop: int

    @classmethod
    def load(cls, pipeline: Pipeline, dtype: torch.dtype, device: torch.device) -> "HunyuanText":
        """From a pipeline's `text_encoder`, `text_encoder_2` and their tokenizers."""
        seed = pipeline.seed("text_encoder")
        if seed is not None:
            config = transformers.LlamaConfig(**pipeline.config("text_encoder"))
            model: Any = load_onto_meta(lambda: transformers.LlamaModel(config))
            randomise(model, seed, dtype, device)
            model.to(device)
        else:
            model = from_folder(transformers.LlamaModel, pipeline, "text_encoder", dtype=dtype).to(device)
        check_embeddings(model, pipeline.name)
        if pipeline.seed("tokenizer") is not None:
            tokenizer: Any = transformers.ByT5Tokenizer()
        else:
            tokenizer = from_folder(transformers.AutoTokenizer, pipeline, "tokenizer")
        check_tokenizer(tokenizer, model.config.vocab_size, pipeline.name)
        clip = TextEncoder.load(pipeline, dtype, device, second=True)
        crop = common_start(*(tokenizer(TEMPLATE.format(letter)).input_ids for letter in ("a", "b")))
        return cls(tokenizer, model.eval().requires_grad_(False), clip, crop)

    @property
    def text_encoder_2(self) -> Any:
        """CLIP."""
        return self.clip.model

    @property
    def tokenizer_2(self) -> Any:
        """CLIP's."""
        return self.clip.tokenizer

    def __call__(self, text: str) -> TextTokens:
        """Llama's hidden states of one text with the mask of padding, and CLIP's vector."""
        prompt = TEMPLATE.format(text)
        count = len(self.tokenizer(prompt, truncation=False, verbose=False).input_ids) - self.crop
        read = self.tokenizer(
            prompt, padding="max_length", max_length=self.crop + TEXT_LENGTH, truncation=True, return_tensors="pt"
        ).to(self.text_encoder.device)
        states = self.text_encoder(
            input_ids=read.input_ids, attention_mask=read.attention_mask, output_hidden_states=True, use_cache=False
        ).hidden_states
        hidden: Float[Tensor, "L D"] = states[LAYER][0, self.crop :]
        pooled, seen = self.clip.pooled(text)
        cut = f"text of {seen} tokens of CLIP cut to {self.clip.length} for its pooled vector, its end is not in that"
        return TextTokens(
            hidden,
            count,
            mask=read.attention_mask[0, self.crop :].bool(),
            pooled=pooled,
            facts=(cut,) if seen > self.clip.length else (),
        )


def common_start(one: Sequence[int], two: Sequence[int]) -> int:
    """How many tokens two texts have in common at their start: those of a template before its text."""
    return next(i for i, (first, second) in enumerate(zip(one, two, strict=True)) if first != second)


def check_tokenizer(tokenizer: Any, vocabulary: int, name: str) -> None:
    """Raises `ModelError` for a tokenizer that does not go with its encoder, or does not pad as texts are cropped."""
    if len(tokenizer) > vocabulary:
        raise ModelError(
            f"model '{name}': its tokenizer has {len(tokenizer)} tokens, its text encoder {vocabulary}; they do not "
            "belong together"
        )
    if tokenizer.pad_token is None or tokenizer.padding_side != "right":
        raise ModelError(
            f"model '{name}': its tokenizer must pad on the right with a token of its own, and it has pad_token "
            f"{tokenizer.pad_token} and padding_side {tokenizer.padding_side}; get the tokenizer/ that comes with it"
        )
