"""CLIP's text encoder.

Shape letters: L text tokens, D text width.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import (
    CLIPTextModel,
    CLIPTokenizer,
)

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.parts import from_folder
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.random_clip import random_clip
from vdprobe.models.diffusion.tokens import TextTokens


class TextEncoder:
    """Tokenizer and CLIP text model; every text is padded or cut to the model's length (77).

    - `skipped`: how many of the last layers are left out; the last layer norm is not.
    """

    def __init__(self, tokenizer: CLIPTokenizer, model: CLIPTextModel, skipped: int = 0) -> None:
        self.tokenizer, self.model, self.skipped = tokenizer, model, skipped
        self.length: int = model.config.max_position_embeddings

    @classmethod
    def load(
        cls,
        pipeline: Pipeline,
        dtype: torch.dtype,
        device: torch.device,
        *,
        second: bool = False,
        skipped: int = 0,
    ) -> "TextEncoder":
        """From a pipeline's `text_encoder` and `tokenizer`, or from its `second` ones."""
        part = "tokenizer_2" if second else "tokenizer"
        model = clip_text_model(pipeline, dtype, device, "text_encoder_2" if second else "text_encoder")
        tokenizer = byte_tokenizer() if pipeline.seed(part) is not None else from_folder(CLIPTokenizer, pipeline, part)
        if len(tokenizer) > model.config.vocab_size:
            raise ModelError(
                f"model '{pipeline.name}': its tokenizer has {len(tokenizer)} tokens, its text encoder "
                f"{model.config.vocab_size}; they do not belong together"
            )
        return cls(tokenizer, model, skipped)

    def __call__(self, text: str) -> TextTokens:
        """The final hidden state (after the last layer norm) of one text."""
        ids, count = self._ids(text)
        return TextTokens(self.from_ids(ids), count)

    def pooled(self, text: str) -> tuple[Float[Tensor, " D"], int]:
        """The final hidden state of the end of one text, and how many tokens it had before it was cut."""
        ids, count = self._ids(text)
        return self.model(ids.to(self.model.device)).pooler_output[0], count

    def _ids(self, text: str) -> tuple[Tensor, int]:
        count = len(self.tokenizer(text, truncation=False, verbose=False).input_ids)
        read = self.tokenizer(text, padding="max_length", max_length=self.length, truncation=True, return_tensors="pt")
        return read.input_ids, count

    def from_ids(self, ids: Tensor) -> Float[Tensor, "L D"]:
        """The final hidden state of token ids of shape (1, L)."""
        out = self.model(ids.to(self.model.device), output_hidden_states=bool(self.skipped))
        if not self.skipped:
            return out.last_hidden_state[0]
        inner: Any = getattr(self.model, "text_model", self.model)  # a part of its own in some versions of transformers
        return inner.final_layer_norm(out.hidden_states[-(self.skipped + 1)])[0]


def clip_text_model(
    pipeline: Pipeline, dtype: torch.dtype, device: torch.device, part: str = "text_encoder"
) -> CLIPTextModel:
    """The text model alone, frozen."""
    if pipeline.seed(part) is not None:
        return random_clip(CLIPTextModel, pipeline, part, dtype, device)
    model = from_folder(CLIPTextModel, pipeline, part, dtype=dtype)
    return model.to(device).eval().requires_grad_(False)


def byte_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer whose tokens are bytes: what random weights can be given text with."""
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *(f"{symbol}</w>" for symbol in alphabet), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[], model_max_length=77)
