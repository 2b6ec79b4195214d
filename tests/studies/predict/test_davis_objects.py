from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vdprobe.data.video import Expression, Failure, Video
from vdprobe.studies.predict.davis_objects import describe_objects, merge_objects


def video(id, *objects):
    """An expression for each of `objects`."""
    ids = [None if object is None else (object,) if isinstance(object, str) else object for object in objects]
    expressions = tuple(Expression(str(k), f"text {k}", object) for k, object in enumerate(ids))
    return Video(id, Path(id), ("0.jpg",), expressions)


def places(descriptions):
    return [(d.place, [e.id for e in d.expressions], d.numbers) for d in descriptions]


def test_the_four_annotators_of_ref_davis17():
    """Expression `4 * object + annotator`, and another video of one object."""
    found, unclear = describe_objects([video("dogs", *"11113333"), video("cow", *"2222")], [])
    assert unclear == []
    assert places(found["dogs"]) == [(f"anno_{k}/dogs", [str(k), str(4 + k)], (1, 3)) for k in range(4)]
    assert places(found["cow"]) == [(f"anno_{k}/cow", [str(k)], (2,)) for k in range(4)]


def test_the_surest_object_is_told_by_its_logit():
    """In float32 the sigmoids of 20 and 30 are both 1, and the official code gives the pixel to the first."""
    logits = np.array([20, 20, -1, 0.5], dtype=np.float32).reshape(1, 4)
    other = np.array([30, -5, -2, -5], dtype=np.float32).reshape(1, 4)
    assert merge_objects(np.stack([logits, other]), (3, 7)).tolist() == [[7, 3, 0, 3]]
    assert merge_objects(np.stack([logits, other]), (3, 7), 1.0).tolist() == [[7, 3, 0, 0]]


def test_one_expression_an_object_needs_no_annotator():
    found, unclear = describe_objects([video("dogs", "2", "1")], [])
    assert (places(found["dogs"]), unclear) == ([("dogs", ["0", "1"], (2, 1))], [])


def test_hidden_objects_are_numbered():
    found, _ = describe_objects([video("dogs", None, None, None)], [])
    assert places(found["dogs"]) == [("dogs", ["0", "1", "2"], (1, 2, 3))]


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (("1", "1", "2"), "they have 1 and 2 expressions each, and the annotators are 2: each must describe all"),
        (("1", "2"), "they have 1 expressions each, and the annotators are 2"),
        (("1", ()), "expression '1' means the objects none, not one with a number"),
        (("1", None), "expression '1' means the objects none, not one with a number"),
        (("1", ("1", "2")), "expression '1' means the objects 1, 2, not one with a number"),
        (("1", "dog"), "expression '1' means the objects dog, not one with a number"),
        (("1", "21"), "an object has the number 21, and 20 is the most"),
    ],
)
def test_objects_that_cannot_be_put_together(objects, message):
    """The other video goes on."""
    found, unclear = describe_objects([video("cow", *"1122"), video("dogs", *objects)], [])
    assert list(found) == ["cow"]
    ((where, error),) = [(failure.where, failure.error) for failure in unclear]
    assert where == "dogs"
    assert error.startswith("its objects are not put together: ")
    assert message in error


def test_a_lost_expression_would_shift_the_annotators():
    """Its video has one text less, and the rest must not be taken for another annotator's."""
    failures = [Failure("dogs/3", "has an empty text"), Failure("cow", "is no video")]
    found, unclear = describe_objects([video("dogs", *"111"), video("hen", *"1111")], failures)
    assert list(found) == ["hen"]
    assert "an expression of it cannot be used" in unclear[0].error


def test_the_surest_object_wins_a_pixel():
    logits = np.array([[[2.0, -1.0, 3.0, -5.0]], [[1.0, -2.0, 4.0, 0.5]]], dtype=np.float32)
    assert merge_objects(logits, (3, 7)).tolist() == [[3, 0, 7, 7]]


@given(arrays(np.float32, (3, 4, 5), elements=st.floats(-4, 4, width=32)))
def test_together_they_show_what_each_shows(logits):
    """A pixel belongs to an object whose own mask has it, and to none exactly where no mask has it."""
    labels = merge_objects(logits, (1, 2, 3))
    assert labels.dtype == np.uint8
    assert ((labels > 0) == (logits > 0).any(axis=0)).all()
    for place, number in enumerate((1, 2, 3)):
        mine = labels == number
        assert (logits[place][mine] > 0).all()
        assert (logits[place][mine] >= logits.max(axis=0)[mine]).all()
