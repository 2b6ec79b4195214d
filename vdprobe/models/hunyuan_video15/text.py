"""HunyuanVideo 1.5's two text encoders: Qwen 2.5 VL within a chat, and ByT5 for what is written in the picture.

Facts from diffusers' `pipeline_hunyuan_video1_5.py`. Padding, which the denoiser masks, is left out: every attention
would go over it. Shape letters: L text tokens, D text width.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers

from vdprobe.models.diffusion.parts import from_folder
from vdprobe.models.diffusion.pipeline import Pipeline
from vdprobe.models.diffusion.tokens import TextTokens
from vdprobe.models.hunyuan_video.text import check_tokenizer, common_start
from vdprobe.models.networks.tapped import load_onto_meta
from vdprobe.models.networks.weights import randomise
from vdprobe.models.transformer.t5 import check_embeddings

TEXT_LENGTH, WRITTEN_LENGTH = 1000, 256
GAP = " " * 8
SYSTEM = (
    f"You are a helpful assistant. Describe the video by detailing the following aspects: {GAP}"
    f"1. The main content and theme of the video. {GAP}"
    f"2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects. {GAP}"
    f"3. Actions, events, behaviors temporal relationships, physical movement changes of the objects. {GAP}"
    f"4. background environment, light, style and atmosphere. {GAP}"
    "5. camera angles, movements, and transitions used in the video."
)
QUOTED = re.compile('"(.*?)"|\u201c(.*?)\u201d')
LAYER = -3
"""Which hidden states of Qwen are read: two layers before its last."""
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""How a chat is written, for the byte tokenizer that goes with random weights; trained ones have it in their files."""


@dataclass(frozen=True)
class HunyuanText15:
    """Both tokenizers and encoders.

    - `crop`: tokens of the chat before the text, which the denoiser does not get: 108 of Qwen 2.5's.
    """

    tokenizer: Any
    text_encoder: Any
    tokenizer_2: Any
    text_encoder_2: Any
    crop: int

    @classmethod
    def load(cls, pipeline: Pipeline, dtype: torch.dtype, device: torch.device) -> "HunyuanText15":
        """From a pipeline's `text_encoder`, `text_encoder_2` and their tokenizers."""
        model = _encoder(pipeline, "text_encoder", transformers.Qwen2_5_VLTextModel, dtype, device)
        second = _encoder(pipeline, "text_encoder_2", transformers.T5EncoderModel, dtype, device)
        tokenizer, writing = (_tokenizer(pipeline, part) for part in ("tokenizer", "tokenizer_2"))
        check_tokenizer(tokenizer, model.config.vocab_size, pipeline.name)
        check_tokenizer(writing, second.config.vocab_size, pipeline.name)
        one, two = (_chat(tokenizer, letter).input_ids for letter in ("a", "b"))
        return cls(tokenizer, model, writing, second, common_start(one, two))

    def __call__(self, text: str) -> TextTokens:
        """Qwen's hidden states of one text, and ByT5's of what it has in quotation marks."""
        count = len(_chat(self.tokenizer, text).input_ids) - self.crop
        read = _chat(
            self.tokenizer,
            text,
            padding="max_length",
            max_length=self.crop + TEXT_LENGTH,
            truncation=True,
            return_tensors="pt",
        ).to(self.text_encoder.device)
        states = self.text_encoder(
            input_ids=read.input_ids, attention_mask=read.attention_mask, output_hidden_states=True, use_cache=False
        ).hidden_states
        seen = read.attention_mask[0, self.crop :].bool()
        written = self._written(text)
        cut = f"text of {written.count} tokens in quotation marks cut to {WRITTEN_LENGTH}, its end is not seen"
        facts = (cut,) if written.truncated else ()
        return TextTokens(states[LAYER][0, self.crop :][seen], count, second=written, facts=facts)

    def _written(self, text: str) -> TextTokens:
        """No token where nothing is in quotation marks."""
        encoder = self.text_encoder_2
        writing = written_text(text)
        if not writing:
            return TextTokens(torch.zeros(0, encoder.config.d_model, dtype=encoder.dtype, device=encoder.device), 0)
        count = len(self.tokenizer_2(writing, truncation=False, verbose=False).input_ids)
        read = self.tokenizer_2(
            writing, padding="max_length", max_length=WRITTEN_LENGTH, truncation=True, return_tensors="pt"
        ).to(encoder.device)
        hidden = encoder(input_ids=read.input_ids, attention_mask=read.attention_mask.float()).last_hidden_state[0]
        return TextTokens(hidden[read.attention_mask[0].bool()], count)


def written_text(text: str) -> str:
    """What a text has in quotation marks, each once, as ByT5 was trained on it; empty where nothing is."""
    found = dict.fromkeys(straight or curled for straight, curled in QUOTED.findall(text))
    return ". ".join(f'Text "{words}"' for words in found) + ". " if found else ""


def _chat(tokenizer: Any, text: str, **options: Any) -> Any:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text or " "}]
    chats = [messages] if "return_tensors" in options else messages
    return tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=True, return_dict=True, **options)


def _encoder(pipeline: Pipeline, part: str, kind: Any, dtype: torch.dtype, device: torch.device) -> Any:
    seed = pipeline.seed(part)
    if seed is None:
        model = from_folder(kind, pipeline, part, dtype=dtype)
    else:
        make: Callable[[], Any] = lambda: kind(kind.config_class(**pipeline.config(part)))  # noqa: E731
        model = load_onto_meta(make)
        randomise(model, seed, dtype, device)
    check_embeddings(model, pipeline.name)
    return model.to(device).eval().requires_grad_(False)


def _tokenizer(pipeline: Pipeline, part: str) -> Any:
    if pipeline.seed(part) is None:
        return from_folder(transformers.AutoTokenizer, pipeline, part)
    tokenizer = transformers.ByT5Tokenizer()
    tokenizer.chat_template = CHAT
    return tokenizer
