"""The tokenizer: byte-level BPE in CLIP's manner, over captions of MovingShapes and common English words.

    python experiments/pretrain/tokenizer.py --out runs/tiny-t2v

Every word of `words.txt` and of MovingShapes becomes one token; any other text falls into pieces,
at worst into bytes, so nothing is unknown.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from vdprobe.data.moving_shapes import make_video

HERE = Path(__file__).parent
START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
VOCABULARY = 3072


def corpus(videos: int = 500) -> list[str]:
    """Texts of MovingShapes and the word list, each word of which counts often enough to become a token."""
    texts: list[str] = []
    for index in range(videos):
        video = make_video("train", index)
        texts += [video.caption, *(r.text for r in video.referrals)]
    words = (HERE / "words.txt").read_text(encoding="utf-8").split()
    return [*texts, *(word for word in words for _ in range(100))]


def train_merges(texts: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges: CLIP's word ends (`</w>`), lower case, bytes as letters."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, min_frequency=20, end_of_word_suffix="</w>", show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    merges = [tuple(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(f"{letter}</w>" for letter in alphabet)]
    tokens += [token for pair in merges if (token := "".join(pair)) not in tokens]
    return {token: i for i, token in enumerate([*dict.fromkeys(tokens), START, END])}, merges


def make_tokenizer() -> CLIPTokenizer:
    """A tokenizer as transformers' CLIP takes it."""
    vocabulary, merges = train_merges(corpus())
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/tiny-t2v"))
    out = parser.parse_args().out / "tokenizer"
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(out)
    words = Counter(len(tokenizer(word).input_ids) - 2 for word in (HERE / "words.txt").read_text().split())
    print(f"{len(tokenizer)} tokens in {out}; the listed words take {dict(words)} tokens each")
    for text in ("the small red star that moves up", "a zebra in pyjamas", "Ein Hündchen läuft 🐕"):
        print(f"{text!r}: {tokenizer.tokenize(text)}")


if __name__ == "__main__":
    main()
