"""T5 and UMT5 as text encoders, and what each family makes of their padding.

Shape letters: L text tokens, D text width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import transformers
from jaxtyping import Float
from torch import Tensor

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.parts import from_folder
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.tokens import TextTokens
from vdprobe.models.networks.tapped import load_onto_meta
from vdprobe.models.networks.weights import randomise

Padding = Literal["zeros", "seen", "masked", "masked-twice"]


@dataclass(frozen=True)
class T5Reader:
    """Tokenizer and encoder; a text is padded or cut to `length` tokens.

    - `padding`: `zeros` in the place of padding's hidden states (Wan); `seen` as the encoder gives them without a
      mask (CogVideoX); `masked`: those, and a mask for the denoiser (LTX, Mochi); `masked-twice`: the encoder gets the
      mask too (LTX 0.9.5 and later).
    - `clean`: what the family's pipeline does to a text before it is read.
    """

    tokenizer: Any
    model: Any
    length: int
    padding: Padding
    clean: Callable[[str], str] = str

    @classmethod
    def load(
        cls, pipeline: Pipeline, kind: str, length: int, padding: Padding, dtype: torch.dtype, device: torch.device
    ) -> "T5Reader":
        """From a pipeline's `text_encoder` and `tokenizer`; `kind` is the class of the encoder in transformers."""
        encoder = getattr(transformers, kind)
        seed = pipeline.seed("text_encoder")
        if seed is not None:
            config = encoder.config_class(**pipeline.config("text_encoder"))
            model = load_onto_meta(lambda: encoder(config))
            randomise(model, seed, dtype, device)
            model.to(device)
        else:
            model = from_folder(encoder, pipeline, "text_encoder", dtype=dtype).to(device)
        if pipeline.seed("tokenizer") is not None:
            tokenizer: Any = transformers.ByT5Tokenizer()
        else:
            tokenizer = from_folder(transformers.AutoTokenizer, pipeline, "tokenizer")
        check_embeddings(model, pipeline.name)
        return cls(tokenizer, model.eval().requires_grad_(False), length, padding)

    def __call__(self, text: str) -> TextTokens:
        """The hidden states of one text."""
        text = self.clean(text)
        count = len(self.tokenizer(text, truncation=False, verbose=False).input_ids)
        read = self.tokenizer(
            text, padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        ).to(self.model.device)
        mask = read.attention_mask.bool()
        hidden: Float[Tensor, "L D"] = self.model(
            read.input_ids, attention_mask=read.attention_mask if self.padding in ("zeros", "masked-twice") else None
        ).last_hidden_state[0]
        if self.padding == "zeros":
            hidden = hidden * mask[0, :, None]
        return TextTokens(hidden, count, mask[0] if self.padding.startswith("masked") else None)


def check_embeddings(model: torch.nn.Module, name: str) -> None:
    """Raises `ModelError` where all tokens have one embedding: the weights were not found under their names."""
    table = model.get_input_embeddings().weight  # type: ignore[operator]
    if bool((table == table[0]).all()):
        raise ModelError(
            f"model '{name}': every token has the same embedding, so that all texts are one: its text encoder was not "
            "read under the names that this version of transformers expects; get it again, or another version"
        )
