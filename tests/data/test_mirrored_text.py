import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.data.mirrored_text import mirrored_text, text_for
from vdprobe.specs.video import Resize

SIDES = [f"{side}{ending}" for side in ("left", "right") for ending in ("", "most", "ward", "wards")]
words = st.sampled_from([*SIDES, "bright", "upright", "cleft", "leftover", "a dog", "turns", "1", ""])
spelled = st.tuples(words, st.sampled_from([str.lower, str.upper, str.capitalize])).map(lambda pair: pair[1](pair[0]))
sentences = st.lists(st.tuples(spelled, st.sampled_from([" ", ", ", "-", "_", "'s ", ".\n", "/"]))).map(
    lambda parts: "".join(word + mark for word, mark in parts)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog left of a cat, on the right", "a dog right of a cat, on the left"),
        ("Left, RIGHT and left", "Right, LEFT and right"),
        ("the rightmost of the Leftmost", "the leftmost of the Rightmost"),
        ("moving leftwards, then RIGHTWARD", "moving rightwards, then LEFTWARD"),
        ("the left-hand dog's left_ear", "the right-hand dog's right_ear"),
        ("a bright cleft in upright leftovers", "a bright cleft in upright leftovers"),  # the official code: "a bleft"
        ("LeFt", "right"),
        ("", ""),
    ],
)
def test_known_answers(text, expected):
    assert mirrored_text(text) == expected


@given(sentences)
def test_twice_gives_the_text_again(text):
    assert mirrored_text(mirrored_text(text)) == text


@given(st.text() | sentences)
def test_twice_means_the_same_whatever_the_text(text):
    assert mirrored_text(mirrored_text(text)).lower() == text.lower()


def test_a_text_is_mirrored_where_the_frames_are():
    assert text_for("on the left", Resize()) == "on the left"
    assert text_for("on the left", Resize(flip=True)) == "on the right"
