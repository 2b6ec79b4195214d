"""The head's text encoder: every token's last hidden state, kept on disk once it is made.

Shape letters: B texts, L words (tokens of the encoder), T width of a word.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from vdprobe.data.hub import download
from vdprobe.data.video import normalise_text
from vdprobe.errors import ModelError
from vdprobe.head.word_cache import read_words, words_path, write_words
from vdprobe.models.diffusion.clip_text import TextEncoder
from vdprobe.models.diffusion.parts import from_folder
from vdprobe.models.diffusion.pipeline import Pipeline, find_pipeline
from vdprobe.models.diffusion.tokens import TextTokens
from vdprobe.specs.canonical import canonical_hash

OWN = "pipeline"
"""Names the text encoder of the T2V model that the features are of; `pipeline:NAME` that of another."""
PARTS = ("text_encoder", "tokenizer")
UNUSED_POSITIONS = 2
"""Of an encoder's positions, those that RoBERTa has no token for; its tokenizer knows, unless it was saved without."""
Encode = Callable[[str], TextTokens]
TextCase = Literal["lower", "raw"]
"""How an encoder gets its texts: in lower case with single spaces, or to the letter as the dataset has them.

The official datasets of its trainings, and of A2D and JHMDB also its evaluation, give them in lower case (ytvos.py:107,
a2d.py:73, jhmdb.py:67); official inference on Ref-YouTube-VOS and Ref-DAVIS17 gives them raw to RoBERTa, which tells
capitals from small letters (inference_ytvos.py:180, inference_davis.py:178).
"""


@dataclass
class WordEncoder:
    """Texts to words. Its weights are loaded with the first text that is not in `cache`, and only then.

    - `name`: `pipeline`, or the folder or id it was given by. `width`: T.
    - `identity`: hash of configuration, weights and tokenizer.
    - `cache`: folder of words made before, None to make all anew; each is there under the text that the encoder got.
    - `text_case`: of the texts.
    - `cut`: texts that are longer than the encoder reads, with the number of their tokens.
    - `remade`: files of the cache that were damaged, or not what their name says, and were made anew.
    """

    name: str
    width: int
    identity: str
    device: torch.device
    cache: Path | None
    load_encode: Callable[[], Encode]
    text_case: TextCase = "lower"
    cut: dict[str, int] = field(default_factory=dict)
    remade: list[Path] = field(default_factory=list)
    encode: Encode | None = None

    @classmethod
    def load(
        cls,
        name: str,
        pipeline: Pipeline | None,
        device: torch.device,
        *,
        cache: Path | None = None,
        text_case: TextCase = "lower",
    ) -> "WordEncoder":
        """The encoder called `name`.

        - `name`: `pipeline` for the text encoder of `pipeline`, `pipeline:tiny-t2v` for that of any other, or the
          folder or Hugging Face id of an encoder of the transformers library, such as `roberta-base` (which
          VD-IT's head reads).
        - `pipeline`: of the features; None where they are a control's.

        Raises `ModelError` where there is none.
        """
        own = name.partition(":")[0] == OWN
        source = _find_own(name, pipeline) if own else _find(name)
        width = source.config("text_encoder")["hidden_size"] if own else _width(source)
        identity = canonical_hash({"reader": "pipeline" if own else "transformers", **source.identity(PARTS).parts})
        read = _own if own else _transformer
        return cls(name, width, identity, device, cache, lambda: read(source, device), text_case)

    @torch.no_grad()
    def __call__(self, texts: Iterable[str]) -> list[Float[Tensor, "L T"]]:
        """The words of each text, in the letters that `text_case` says.

        In float32, special tokens included, padding not; each text by itself, so that none depends on others.
        """
        return [self._words(normalise_text(text) if self.text_case == "lower" else text) for text in texts]

    def fill(self, texts: Iterable[str]) -> None:
        """Makes what the cache lacks, then lets the weights go."""
        for text in dict.fromkeys(texts):
            self([text])
        self.encode = None

    def notes(self) -> tuple[str, ...]:
        """What a reader of the results should know of the texts seen so far."""
        facts = (
            (len(self.cut), "texts were cut to what the head's text encoder reads"),
            (len(self.remade), f"files of words in {self.cache} were damaged or foreign and were made anew"),
        )
        return tuple(f"{count} {fact}" for count, fact in facts if count)

    def _words(self, text: str) -> Float[Tensor, "L T"]:
        words = self._kept(text)
        if words is None:
            self.encode = self.encode or self.load_encode()
            words = self.encode(text)
            if self.cache is not None:
                write_words(words_path(self.cache, self.identity, text), self.identity, text, words)
        if words.truncated:
            self.cut[text] = words.count
        return words.hidden.to(self.device)

    def _kept(self, text: str) -> TextTokens | None:
        if self.cache is None:
            return None
        path = words_path(self.cache, self.identity, text)
        try:
            words = read_words(path, self.identity, text)
        except FileNotFoundError:
            return None
        if words is None or words.hidden.shape[1] != self.width:
            self.remade.append(path)
            return None
        return words


def pad_words(words: Sequence[Float[Tensor, "_ T"]]) -> tuple[Float[Tensor, "B L T"], Bool[Tensor, "B L"]]:
    """Texts of different lengths side by side, and True where there is no word."""
    padded = nn.utils.rnn.pad_sequence(list(words), batch_first=True)
    lengths = torch.tensor([len(text) for text in words], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device) >= lengths[:, None]


def _own(pipeline: Pipeline, device: torch.device) -> Encode:
    encoder = TextEncoder.load(pipeline, torch.float32, device)

    def encode(text: str) -> TextTokens:
        tokens = encoder(text)
        return TextTokens(tokens.hidden[: tokens.count], tokens.count)

    return encode


def _transformer(source: Pipeline, device: torch.device) -> Encode:
    tokenizer = from_folder(AutoTokenizer, source, "tokenizer")
    model = from_folder(AutoModel, source, "text_encoder", dtype=torch.float32).to(device).eval()
    limit = min(tokenizer.model_max_length, model.config.max_position_embeddings - UNUSED_POSITIONS)

    def encode(text: str) -> TextTokens:
        count = len(tokenizer(text, truncation=False, verbose=False).input_ids)
        tokens = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt").to(device)
        return TextTokens(model(**tokens).last_hidden_state[0], count)

    return encode


def _find_own(name: str, pipeline: Pipeline | None) -> Pipeline:
    other = name.partition(":")[2]
    if other:
        return find_pipeline(other)
    if pipeline is None:
        raise ModelError(
            "the features are of a control, which has no text encoder: set words to that of a T2V model, such as "
            "pipeline:tiny-t2v, or to an encoder such as roberta-base"
        )
    return pipeline


def _find(name: str) -> Pipeline:
    """The folder of an encoder, as the parts of a pipeline."""
    folder = Path(name).expanduser()
    try:
        if not folder.is_dir():
            if name.count("/") > 1 or name.startswith((".", "/", "~")):
                raise ModelError(f"there is no folder {name}; give one with config.json, weights and tokenizer")
            folder, name = download(name, [""])
        return Pipeline(name=name, folders=dict.fromkeys(PARTS, folder))
    except ModelError as error:
        raise ModelError(f"the head's text encoder: {error}; or take the T2V model's own, 'pipeline'") from error


def _width(source: Pipeline) -> int:
    config = from_folder(AutoConfig, source, "text_encoder")
    if config.is_encoder_decoder or not hasattr(config, "hidden_size"):
        raise ModelError(
            f"the head's text encoder: '{source.name}' ({config.model_type}) is no text encoder by itself; give one "
            "such as roberta-base, or take the T2V model's own, 'pipeline'"
        )
    return int(config.hidden_size)
