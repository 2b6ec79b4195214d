"""Protocols over videos: answers found by hand. Masks are columns of a frame: J of 2 of 4 columns is 1/2."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vdprobe.errors import ConfigError, DataError
from vdprobe.metrics.contour import contour_accuracy
from vdprobe.metrics.protocols.by_name import PROTOCOLS, find_protocol
from vdprobe.metrics.protocols.protocol import evaluate
from vdprobe.metrics.protocols.samples import LabelSample, MaskSample

SHAPE = (24, 32)
SEMI, UNSUP = PROTOCOLS["davis-semi"], PROTOCOLS["davis-unsup"]
REFERFORMER, VISA = PROTOCOLS["refdavis-referformer"], PROTOCOLS["refdavis-visa"]
EXPRESSIONS = ("refdavis-visa", "ytvos", "mevis")


def block(left, right, top=4, bottom=20):
    mask = np.zeros(SHAPE, bool)
    mask[top:bottom, left:right] = True
    return mask


EMPTY, FULL, LEFT, RIGHT = block(0, 0), np.ones(SHAPE, bool), block(2, 10), block(18, 26)
HALF = block(2, 6)  # of LEFT: J is 1/2


def names(count):
    return tuple(f"{k:05d}" for k in range(count))


def labels(*frames):
    """Each frame a mapping of number to mask."""
    out = np.zeros((len(frames), *SHAPE), np.uint8)
    for canvas, objects in zip(out, frames, strict=True):
        for number, mask in objects.items():
            canvas[mask] = number
    return out


def labelled(truth, prediction, video="a", **more):
    return LabelSample(video, names(len(truth)), labels(*truth), labels(*prediction), **more)


def masked(truth, prediction, video="a", expression="0", missing=()):
    return MaskSample(
        video, expression, "1", names(len(truth)), np.array(truth), np.array(prediction), frozenset(missing)
    )


def contour(prediction, truth):
    return contour_accuracy(prediction[None], truth[None])[0]


def rows(report):
    return list(csv.DictReader(io.StringIO(report.to_csv())))


# J and F of one frame, by expression

CASES = [
    (EMPTY, EMPTY, 1, 1),
    (EMPTY, LEFT, 0, 0),
    (LEFT, EMPTY, 0, 0),
    (LEFT, LEFT, 1, 1),
    (FULL, FULL, 1, 1),
    (FULL, EMPTY, 0, 1),
    (block(0, 8, 0, 24), block(0, 8, 0, 24), 1, 1),  # touches three edges
    (block(0, 8, 0, 24), block(0, 16, 0, 24), 1 / 2, 0),
    (RIGHT, LEFT, 0, 0),
]


@pytest.mark.parametrize("protocol", EXPRESSIONS)
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 260])
def test_frames_are_averaged_first_and_expressions_next(protocol, frames):
    """The first frame is right and the others half, so J of the first expression is (1 + (T-1)/2) / T."""
    truth = [LEFT] * frames
    first = masked(truth, [LEFT] + [HALF] * (frames - 1))
    second = masked([LEFT], [RIGHT], video="b")
    report = evaluate(PROTOCOLS[protocol], [first, second])
    f = (1 + (frames - 1) * contour(HALF, LEFT)) / frames
    j = (1 + (frames - 1) / 2) / frames
    assert report.scores["J"] == pytest.approx(j / 2)
    assert report.scores["F"] == pytest.approx(f / 2)
    assert report.scores["J&F"] == pytest.approx((j + f) / 4)
    assert report.counts == {"videos": 2, "expressions": 2, "tracks": 2, "frames": frames + 1}


@pytest.mark.parametrize(("prediction", "truth", "j", "f"), CASES)
def test_corner_cases_of_a_frame(prediction, truth, j, f):
    for protocol in EXPRESSIONS:
        scores = evaluate(PROTOCOLS[protocol], [masked([truth], [prediction])]).scores
        assert (scores["J"], scores["F"]) == (pytest.approx(j), pytest.approx(f))
    # the same, as object 1 of two that the first frame shows and the second may not
    truths, predictions = ({1: LEFT}, {1: truth}, {}), ({1: LEFT}, {1: prediction}, {})
    for protocol in (SEMI, UNSUP):
        (middle,) = (
            row for row in rows(evaluate(protocol, [labelled(truths, predictions)])) if row["frame"] == "00001"
        )
        assert (float(middle["J"]), float(middle["F"])) == (pytest.approx(j), pytest.approx(f))


def test_a_row_for_every_frame_of_every_object():
    report = evaluate(VISA, [masked([LEFT, EMPTY], [HALF, RIGHT], missing=["00001"])])
    first, second = rows(report)
    assert first == {
        "video": "a",
        "expression": "0",
        "object": "1",
        "frame": "00000",
        "J": "0.5",
        "F": str(contour(HALF, LEFT)),
        "truth_area": "128",
        "area": "64",
        "missing": "0",
    }
    assert list(second.values())[4:] == ["0.0", "0.0", "0", "0", "1"]  # what stands where it is missing is no answer


@pytest.mark.parametrize("protocol", EXPRESSIONS)
def test_what_is_missing_scores_nothing_and_is_named(protocol):
    """Also where truth and what stands for the prediction are both empty."""
    samples = [
        masked([LEFT, EMPTY], [LEFT, EMPTY], missing=["00001"]),
        masked([EMPTY], [EMPTY], video="b", missing=["00000"]),
    ]
    report = evaluate(PROTOCOLS[protocol], samples)
    assert report.missing == ("a/0/00001", "b/0")
    assert report.scores["J&F"] == 0.25
    assert evaluate(PROTOCOLS[protocol], [masked([EMPTY], [EMPTY])]).missing == ()


# davis-semi


def test_semi_leaves_out_the_first_and_the_last_frame():
    truth = [{1: LEFT}] * 4
    report = evaluate(SEMI, [labelled(truth, [{}, {1: LEFT}, {1: HALF}, {}])])
    assert report.scores["J"] == 0.75
    assert report.scores["J recall"] == 0.5  # 1/2 is not above 1/2
    assert report.scores["J decay"] == 0.5
    assert [row["frame"] for row in rows(report)] == ["00001", "00002"]


def test_semi_means_are_over_all_objects_not_over_videos():
    """Two right objects in one video, one wrong in another: 2/3, not 1/2."""
    both = [{1: LEFT, 2: RIGHT}] * 3
    report = evaluate(SEMI, [labelled(both, both), labelled([{1: LEFT}] * 3, [{1: RIGHT}] * 3, video="b")])
    assert report.scores["J"] == pytest.approx(2 / 3)
    assert report.counts == {"videos": 2, "expressions": 0, "tracks": 3, "frames": 3}


def test_semi_matches_by_number():
    truth, swapped = [{1: LEFT, 2: RIGHT}] * 3, [{1: RIGHT, 2: LEFT}] * 3
    assert evaluate(SEMI, [labelled(truth, swapped)]).scores["J"] == 0
    one = [{2: RIGHT}] * 3
    assert evaluate(SEMI, [labelled(truth, one)]).scores["J"] == 0.5  # object 1 is never predicted: empty


def test_semi_has_no_void():
    """255 in the truth is background: predicting there costs."""
    truth = [{1: HALF, 255: block(6, 10)}] * 3
    prediction = [{1: LEFT}] * 3
    assert evaluate(SEMI, [labelled(truth, prediction)]).scores["J"] == 0.5
    assert evaluate(UNSUP, [labelled(truth, prediction)]).scores["J&F"] == 1


def test_semi_refuses_objects_that_are_not_there():
    truth = [{1: LEFT}] * 3
    with pytest.raises(DataError, match="numbers an object 2 and there are 1"):
        evaluate(SEMI, [labelled(truth, [{1: LEFT}, {2: RIGHT}, {}])])
    # not looked at: the first frame, the last, and those that are missing
    for frame in (0, 2):
        prediction = [{2: RIGHT} if k == frame else {1: LEFT} for k in range(3)]
        assert evaluate(SEMI, [labelled(truth, prediction)]).scores["J"] == 1
    hidden = labelled(truth, [{}, {2: RIGHT}, {}], missing=frozenset(["00001"]))
    assert evaluate(SEMI, [hidden]).missing == ("a",)


def test_objects_are_those_of_the_first_mask():
    """A number that appears later is no object; one that the first mask skips is, and is empty."""
    truth = [{2: RIGHT}, {2: RIGHT, 3: LEFT}, {2: RIGHT}]
    report = evaluate(SEMI, [labelled(truth, [{2: RIGHT}] * 3)])
    assert [row["object"] for row in rows(report)] == ["1", "2"]
    assert report.scores["J"] == 1


@pytest.mark.parametrize("frames", [1, 2])
def test_semi_needs_three_frames(frames):
    with pytest.raises(DataError, match=f"a has {frames} frames, and 'davis-semi' leaves out the first and the last"):
        evaluate(SEMI, [labelled([{1: LEFT}] * frames, [{1: LEFT}] * frames)])


@pytest.mark.parametrize("protocol", [SEMI, UNSUP])
def test_a_first_mask_without_objects(protocol):
    with pytest.raises(DataError, match="the first mask shows no object"):
        evaluate(protocol, [labelled([{255: LEFT}] * 3, [{1: LEFT}] * 3)])


def test_decay_of_a_long_video_compares_its_ends():
    """Object found in the first 150 of 300 frames only; 8-bit frame numbers would compare other frames."""
    truth = [{1: LEFT}] * 300
    report = evaluate(UNSUP, [labelled(truth, [{1: LEFT}] * 150 + [{1: RIGHT}] * 150)])
    assert report.scores["J decay"] == report.scores["F decay"] == 1
    assert report.scores["J recall"] == report.scores["J"] == 0.5


# davis-unsup


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5])
def test_unsup_forgives_swapped_identities_and_counts_all_frames(frames):
    truth = [{1: LEFT, 2: RIGHT}] * frames
    prediction = [{3: LEFT, 1: RIGHT}] + [{3: LEFT}] * (frames - 1)
    report = evaluate(UNSUP, [labelled(truth, prediction)])
    assert report.scores["J"] == pytest.approx((1 + 1 / frames) / 2)
    found = {row["object"]: float(row["J"]) for row in rows(report) if row["frame"] == "00000"}
    assert found == {"1": 1, "2": 1}


def test_unsup_assigns_for_the_best_sum_not_greedily():
    """Proposal 1 fits object 1 best (J 3/4), but proposal 2 fits nothing else: object 2 gets proposal 1."""
    truth = [{1: block(0, 8), 2: block(8, 16)}]
    prediction = [{1: block(2, 12), 2: block(0, 2)}]
    # J: object 1: 6/12 and 2/8; object 2: 4/14 and 0
    report = evaluate(UNSUP, [labelled(truth, prediction)])
    found = {row["object"]: float(row["J"]) for row in rows(report)}
    assert found in ({"1": 0.5, "2": 0.0}, {"1": 0.25, "2": pytest.approx(4 / 14)})
    sums = {
        "straight": 0.5 + contour(block(2, 12), block(0, 8)) + contour(block(0, 2), block(8, 16)),
        "crossed": 0.25 + 4 / 14 + contour(block(0, 2), block(0, 8)) + contour(block(2, 12), block(8, 16)),
    }
    assert report.scores["J&F"] == pytest.approx(max(sums.values()) / 4)
    assert sums["crossed"] > sums["straight"]
    assert found["1"] == 0.25


def test_unsup_assigns_by_both_scores():
    """One proposal has holes, so the better J and the worse F; the other is a column short, which F tolerates."""
    holes, short = LEFT.copy(), block(2, 9)
    holes[7:17:3, 4:9:3] = False
    report = evaluate(UNSUP, [labelled([{1: LEFT}] * 2, [{1: holes}, {2: short}])])
    assert contour(holes, LEFT) < 0.9 < contour(short, LEFT)
    assert [float(row["J"]) for row in rows(report)] == [0, 7 / 8]  # with holes 120 / 128


def test_unsup_extra_proposals_are_free_up_to_twenty():
    truth = [{1: LEFT}] * 2
    assert evaluate(UNSUP, [labelled(truth, [{20: LEFT, 7: RIGHT}] * 2)]).scores["J&F"] == 1
    with pytest.raises(DataError, match="numbers an object 21, and 20 is the most"):
        evaluate(UNSUP, [labelled(truth, [{21: LEFT}] * 2)])


def test_unsup_objects_without_a_proposal_are_empty():
    truth = [{1: LEFT, 2: RIGHT, 3: block(12, 16)}, {1: LEFT, 2: RIGHT}]
    report = evaluate(UNSUP, [labelled(truth, [{1: RIGHT}, {1: RIGHT}])])
    # objects 1, 2, 3: nothing; both frames; the second frame, where it is empty
    assert report.scores["J"] == pytest.approx((0 + 1 + 0.5) / 3)


def test_unsup_void_counts_for_neither():
    truth = [{1: HALF, 255: block(6, 10)}]
    for prediction in (HALF, LEFT, block(2, 8)):
        assert evaluate(UNSUP, [labelled(truth, [{1: prediction}])]).scores["J&F"] == 1


def test_unsup_a_missing_frame_is_zero_for_every_object_and_named_once():
    truth = [{1: LEFT, 2: RIGHT}] * 2
    report = evaluate(UNSUP, [labelled(truth, truth, missing=frozenset(["00001"]))])
    assert report.missing == ("a/00001",)
    assert report.scores["J&F"] == 0.5


# refdavis-referformer


def annotators(*predictions):
    truth = [{1: LEFT, 2: RIGHT}]
    return [labelled(truth, [p], part=f"anno_{k}") for k, p in enumerate(predictions)]


def test_referformer_is_the_mean_of_four_unsupervised_scores():
    right, swapped, one = {1: LEFT, 2: RIGHT}, {1: RIGHT, 2: LEFT}, {1: LEFT}
    report = evaluate(REFERFORMER, annotators(right, swapped, one, {}))
    assert [report.scores[f"anno_{k} J&F"] for k in range(4)] == [1, 1, 0.5, 0]
    assert report.scores["J&F"] == report.scores["J"] == report.scores["F recall"] == 0.625


def test_visa_and_referformer_differ_on_swapped_objects():
    swapped = [masked([LEFT], [RIGHT]), masked([RIGHT], [LEFT], expression="1")]
    assert evaluate(VISA, swapped).scores["J"] == 0
    assert evaluate(REFERFORMER, annotators(*[{1: RIGHT, 2: LEFT}] * 4)).scores["J"] == 1


def test_referformer_needs_all_annotators():
    with pytest.raises(DataError, match=r"parts are \['anno_0', 'anno_1'\]"):
        evaluate(REFERFORMER, annotators({1: LEFT}, {1: LEFT}))
    with pytest.raises(DataError, match="'anno_4'"):
        evaluate(REFERFORMER, annotators(*[{1: LEFT}] * 5))


# mevis


def test_mevis_without_expressions_that_have_no_target():
    assert set(evaluate(PROTOCOLS["mevis"], [masked([LEFT], [LEFT])]).scores) == {"J&F", "J", "F"}


def test_mevis_counts_answers_to_expressions_with_and_without_a_target():
    samples = [
        masked([LEFT, EMPTY], [LEFT, EMPTY], expression="0"),  # right
        masked([LEFT, EMPTY], [EMPTY, EMPTY], expression="1"),  # no answer: J 0, 1
        masked([LEFT, LEFT], [EMPTY, RIGHT], expression="2"),  # an answer, if a wrong one
        masked([EMPTY, EMPTY], [EMPTY, EMPTY], expression="3"),  # rightly nothing
        masked([EMPTY, EMPTY], [LEFT, EMPTY], expression="4"),  # J 0, 1
        masked([EMPTY, EMPTY], [EMPTY, EMPTY], expression="5", missing=names(2)),
    ]
    scores = evaluate(PROTOCOLS["mevis"], samples).scores
    assert scores["J&F"] == pytest.approx((1 + 0.5 + 0 + 1 + 0.5 + 0) / 6)
    assert scores["N-acc"] == pytest.approx(1 / 3)
    assert scores["T-acc"] == pytest.approx(2 / 3)
    assert scores["Final"] == pytest.approx((0.5 + 1 / 3 + 2 / 3) / 3)


# all


def test_policies_are_in_the_report():
    for protocol in PROTOCOLS.values():
        assert {"mean", "void", "empty", "missing", "extra"} <= set(protocol.policy), protocol.name
    plain = evaluate(VISA, [masked([LEFT], [LEFT])]).to_plain()
    assert plain["policy"] == VISA.policy
    assert plain["scores"] == {"J&F": 1, "J": 1, "F": 1}


def test_what_cannot_be_scored():
    with pytest.raises(ConfigError, match="there is no protocol 'davis'; did you mean 'davis-semi'"):
        find_protocol("davis")
    with pytest.raises(DataError, match="nothing to score by 'mevis'"):
        evaluate(PROTOCOLS["mevis"], [])
    with pytest.raises(DataError, match="scores a MaskSample, not a LabelSample"):
        evaluate(VISA, [labelled([{1: LEFT}], [{1: LEFT}])])
    small = MaskSample("a", "0", "1", ("0",), LEFT[None], LEFT[None, :5])
    with pytest.raises(DataError, match=r"a/0: the prediction has shape \(1, 5, 32\) and the truth \(1, 24, 32\)"):
        evaluate(VISA, [small])
    with pytest.raises(DataError, match="a/0: there are no frames to score"):
        evaluate(VISA, [MaskSample("a", "0", "1", (), LEFT[None][:0], LEFT[None][:0])])


# the values of davis2017-evaluation

SHARED = Path(__file__).parents[2] / "../shared"
OFFICIAL = SHARED / "fixtures/davis_metrics"
TRUTH = SHARED / "davis/Annotations/480p"


@pytest.mark.skipif(
    not OFFICIAL.is_dir() or not TRUTH.is_dir(), reason="no official values at ../shared/fixtures/davis_metrics"
)
def test_equals_the_official_values():
    """Half of the frames' height, for speed, would change F: all 100 masks at full size."""
    with open(OFFICIAL / "golden_per_sequence.csv", newline="") as file:
        official = {row["sequence"]: row for row in csv.DictReader(file)}
    samples = []
    for sequence in official:
        stems = tuple(sorted(file.stem for file in (TRUTH / sequence).glob("*.png")))
        truth, prediction = (
            np.stack([np.asarray(Image.open(folder / sequence / f"{stem}.png")) > 0 for stem in stems]).astype(np.uint8)
            for folder in (TRUTH, OFFICIAL / "predictions")
        )
        samples.append(LabelSample(sequence, stems, truth, prediction))
    semi, unsup = evaluate(SEMI, samples), evaluate(UNSUP, samples)
    for letter in "JF":
        for name, key in (("", "M"), (" recall", "R"), (" decay", "D")):
            mean = np.mean([float(row[f"{letter}_{key}"]) for row in official.values()])
            assert semi.scores[letter + name] == pytest.approx(mean, abs=1e-6)
        # one object, no void: without the assignment it is the mean over all frames
        mean = np.mean([float(row[f"{letter}_M_allframes"]) for row in official.values()])
        assert unsup.scores[letter] == pytest.approx(mean, abs=1e-6)
    for sequence, row in official.items():
        frames = [float(r["J"]) for r in rows(semi) if r["video"] == sequence]
        assert np.mean(frames) == pytest.approx(float(row["J_M"]), abs=1e-6)
