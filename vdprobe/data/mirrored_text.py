"""What a text says of a video whose left and right have changed places."""

import re

from vdprobe.specs.video import Resize

_ENDINGS = ("", "most", "ward", "wards")
_OTHER_SIDE = {
    f"{side}{ending}": f"{other}{ending}"
    for ending in _ENDINGS
    for side, other in (("left", "right"), ("right", "left"))
}
_WORD = re.compile(r"[^\W_]+")


def mirrored_text(text: str) -> str:
    """The text with left and right, leftmost and rightmost, leftward(s) and rightward(s) in each other's place.

    Whole words alone: "bright" stays. Lower case, Capitals and UPPER CASE are kept, so that doing it twice gives
    the text again; of a word in any other mixture the case is lost. The official training mirrors every mention
    too, also a "right" that means "just".
    """
    return _WORD.sub(lambda match: _mirrored_word(match[0]), text)


def text_for(text: str, resize: Resize) -> str:
    """What a condition is told of frames under `resize`, of which the dataset says `text`."""
    return mirrored_text(text) if resize.flip else text


def _mirrored_word(word: str) -> str:
    other = _OTHER_SIDE.get(word.lower())
    if other is None:
        return word
    if word.isupper():
        return other.upper()
    return other.capitalize() if word.istitle() else other
