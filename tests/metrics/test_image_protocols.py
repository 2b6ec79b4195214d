"""Protocols over images: answers found by hand, and mAP against a slow reference and pycocotools."""

import numpy as np
import pytest

from vdprobe.errors import DataError
from vdprobe.metrics.protocols.average_precision import average_precision
from vdprobe.metrics.protocols.boxes import box_overlaps
from vdprobe.metrics.protocols.by_name import PROTOCOLS
from vdprobe.metrics.protocols.images import ImageScore
from vdprobe.metrics.protocols.protocol import evaluate
from vdprobe.metrics.protocols.samples import ImageSample

A2D, JHMDB, REFCOCO = (PROTOCOLS[name] for name in ("a2d", "jhmdb", "refcoco"))
SHAPE = (10, 20)


def strip(count, start=0):
    """A mask of `count` pixels."""
    mask = np.zeros(SHAPE, bool)
    mask.reshape(-1)[start : start + count] = True
    return mask


def image(id, truth, *predictions, **boxes):
    """Predictions are (mask, score)."""
    masks = np.array([mask for mask, _ in predictions], dtype=bool).reshape(-1, *SHAPE)
    return ImageSample(id, truth, masks, np.array([score for _, score in predictions], dtype=np.float64), **boxes)


def box(*numbers):
    return np.array(numbers, dtype=np.float64)


def test_overall_and_mean_iou():
    """10 of 100 pixels and 20 of 20: overall 30/120, mean (1/10 + 1) / 2."""
    samples = [image(0, strip(100), (strip(10), 0.3)), image(1, strip(20), (strip(20), 0.1))]
    for protocol in (A2D, JHMDB, REFCOCO):
        scores = evaluate(protocol, samples).scores
        assert scores["overall IoU"] == 0.25
        assert scores["mean IoU"] == pytest.approx(0.55)


@pytest.mark.parametrize("percent", [50, 60, 70, 80, 90])
def test_precision_at_exactly_the_threshold_does_not_count(percent):
    """`percent` of 100 pixels are right; one pixel more counts."""
    name = f"P@{percent / 100}"
    for pixels, expected in ((percent, 0), (percent + 1, 1)):
        assert evaluate(A2D, [image("x", strip(100), (strip(pixels), 1.0))]).scores[name] == expected


def test_of_equal_scores_the_last_prediction_counts_and_of_others_the_highest():
    right, wrong = strip(10), strip(10, 50)
    for predictions, expected in (
        ([(right, 0.9), (wrong, 0.9)], 0),
        ([(wrong, 0.9), (right, 0.9)], 1),
        ([(wrong, 0.9), (right, 0.9), (wrong, 0.2)], 1),
        ([(right, 0.9), (wrong, 0.1)], 1),
    ):
        assert evaluate(A2D, [image("x", right, *predictions)]).scores["mean IoU"] == expected


def test_empty_masks_and_missing_predictions():
    """Both empty is an IoU of 1; no prediction is 0, and its truth counts in the overall IoU."""
    both = evaluate(A2D, [image("x", strip(0), (strip(0), 1.0))]).scores
    assert (both["mean IoU"], both["overall IoU"], both["P@0.9"]) == (1, 1, 1)
    assert both["mAP"] == 0  # COCO matches no empty masks
    report = evaluate(A2D, [image("x", strip(30)), image("y", strip(10), (strip(10), 1.0)), image("z", strip(0))])
    assert report.missing == ("x", "z")
    assert report.scores["mean IoU"] == pytest.approx(1 / 3)
    assert report.scores["overall IoU"] == 0.25
    assert report.counts == {"images": 3, "predictions": 1}
    assert evaluate(A2D, [image("x", strip(30))]).scores["mAP"] == 0


def test_a_row_for_every_image():
    samples = [image("x", strip(10), (strip(5), 0.25)), image("y", strip(10))]
    _, first, second = evaluate(A2D, samples).to_csv().splitlines()
    assert first == "x,0.5,5,10,0.25,,,1"
    assert second == "y,0.0,0,10,,,,0"


def test_average_precision_by_hand():
    """Two images. Surest first: a miss, then a find of IoU 1, then one of 0.8.

    Up to an IoU of .8 (7 thresholds) precision is 1/2 at a recall of 1/2 and 2/3 at 1, so 2/3 at all
    recalls. Beyond (3) the best is 1/2 up to a recall of 1/2: 51 of 101 recalls.
    """
    samples = [
        image("a", strip(10), (strip(10, 50), 0.9), (strip(10), 0.8)),
        image("b", strip(10), (strip(8), 0.7)),
    ]
    expected = (7 * 2 / 3 + 3 * 51 / 101 / 2) / 10
    assert evaluate(A2D, samples).scores["mAP"] == pytest.approx(expected, abs=1e-12)


def test_a_truth_is_found_once():
    """The second prediction of the same object is a false one, but comes after the recall is whole."""
    twice = image("a", strip(10), (strip(10), 0.9), (strip(10), 0.8))
    assert evaluate(A2D, [twice]).scores["mAP"] == pytest.approx(1)
    both = [twice, image("b", strip(10), (strip(10), 0.7))]
    assert evaluate(A2D, both).scores["mAP"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_an_iou_of_exactly_the_threshold_is_found():
    scores = evaluate(A2D, [image("a", strip(10), (strip(5), 0.9))]).scores
    assert scores["mAP"] == pytest.approx(0.1)
    assert scores["P@0.5"] == 0


def scored(seed, *, images=30, ties):
    """Images with 0 to 5 predictions; with `ties` scores are from a few values."""
    rng = np.random.default_rng(seed)
    out = []
    for k in range(images):
        count = int(rng.integers(0, 6))
        union = rng.integers(20, 60, count)
        values = rng.choice([0.1, 0.5, 0.9], count) if ties else rng.random(count)
        out.append(ImageScore(f"v_{k}", 20, values, rng.integers(0, union + 1), union, None))
    return [out[k] for k in rng.permutation(images)]


def slow_average_precision(images):
    """COCO's definition, one loop for each of its sentences."""
    total = []
    for threshold in np.linspace(0.5, 0.95, 10):
        detections = []
        for image in sorted(images, key=lambda image: image.image):
            found = False
            for k in sorted(range(len(image.scores)), key=lambda k: -image.scores[k]):
                hit = not found and image.intersections[k] / image.unions[k] >= min(threshold, 1 - 1e-10)
                found = found or hit
                detections.append((image.scores[k], hit))
        detections.sort(key=lambda detection: -detection[0])
        curve, hits = [], 0
        for rank, (_, hit) in enumerate(detections, 1):
            hits += hit
            curve.append((hits / len(images), hits / rank))
        for recall in np.linspace(0, 1, 101):
            total.append(max((p for r, p in curve if r >= recall), default=0))
    return np.mean(total)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_average_precision_equals_the_slow_one(seed, ties):
    images = scored(seed, ties=ties)
    assert 0.05 < average_precision(images) == pytest.approx(slow_average_precision(images), abs=1e-12)


def test_average_precision_looks_at_a_hundred_predictions():
    def score(rank):
        hits = np.array([20 if k == rank else 0 for k in range(120)])
        return average_precision([ImageScore("x", 20, np.linspace(1, 0, 120), hits, np.full(120, 20), None)])

    assert score(99) == pytest.approx(0.01)
    assert score(100) == 0


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_equals_pycocotools(ties, capsys):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    from pycocotools.cocoeval import COCOeval
    from pycocotools.mask import encode

    rng = np.random.default_rng(int(ties))
    samples, truths, results = [], [], []
    for k in range(40):
        id, truth = f"v_{rng.integers(10**6)}_{k}", rng.random(SHAPE) < 0.5
        flips = [0, *rng.random(rng.integers(0, 5)) * 0.5]
        masks = [truth ^ (rng.random(SHAPE) < flip) for flip in flips]
        values = rng.choice([0.1, 0.5, 0.9], len(masks)) if ties else rng.random(len(masks))
        samples.append(image(id, truth, *zip(masks, values, strict=True)))
        rle = encode(np.asfortranarray(truth.astype(np.uint8)))
        truths.append({"id": k + 1, "image_id": id, "category_id": 1, "iscrowd": 0, "segmentation": rle})
        truths[-1] |= {"area": int(truth.sum()), "bbox": [0, 0, 1, 1]}
        for mask, value in zip(masks, values, strict=True):
            rle = encode(np.asfortranarray(mask.astype(np.uint8)))
            results.append({"image_id": id, "category_id": 1, "segmentation": rle, "score": float(value)})
    truth = coco.COCO()
    truth.dataset = {
        "images": [{"id": t["image_id"], "height": SHAPE[0], "width": SHAPE[1]} for t in truths],
        "annotations": truths,
        "categories": [{"id": 1, "name": "dummy_class"}],
    }
    truth.createIndex()
    official = COCOeval(truth, truth.loadRes(results), iouType="segm")
    official.params.useCats = 0
    official.evaluate()
    official.accumulate()
    official.summarize()
    assert evaluate(A2D, samples).scores["mAP"] == pytest.approx(official.stats[0], abs=1e-12)


@pytest.mark.parametrize(
    ("found", "iou", "generalised"),
    [
        (box(0, 0, 10, 10), 1, 1),
        (box(0, 0, 10, 5), 0.5, 0.5),  # inside: nothing around both that neither covers
        (box(5, 0, 10, 10), 1 / 3, 1 / 3),
        (box(5, 5, 10, 10), 25 / 175, 25 / 175 - 50 / 225),
        (box(20, 0, 10, 10), 0, -1 / 3),
        (box(0, 0, 0, 0), 0, 0),
    ],
)
def test_box_overlaps(found, iou, generalised):
    got = box_overlaps(found[None], box(0, 0, 10, 10))
    assert (got[0][0], got[1][0]) == (pytest.approx(iou), pytest.approx(generalised))


def test_boxes_without_area():
    iou, generalised = box_overlaps(np.zeros((1, 4)), np.zeros(4))
    assert (iou[0], generalised[0]) == (0, -1)


def test_rec_with_plain_and_generalised_iou():
    """A box shifted along the diagonal passes only the plain one; exactly 0.5 passes both."""
    truth, shifted = box(0, 0, 10, 10), box(1.8, 1.8, 10, 10)
    plain, generalised = (values[0] for values in box_overlaps(shifted[None], truth))
    assert generalised < 0.5 < plain
    right = strip(10), 1.0
    samples = [
        image(k, strip(10), right, truth_box=truth, boxes=found[None])
        for k, found in enumerate((truth, box(0, 0, 10, 5), shifted, box(50, 50, 1, 1)))
    ]
    report = evaluate(REFCOCO, samples)
    assert (report.scores["REC IoU"], report.scores["REC GIoU"]) == (0.75, 0.5)
    # an image without a prediction is not found
    report = evaluate(REFCOCO, [*samples, image(9, strip(10))])
    assert report.scores["REC IoU"] == 0.6


def test_rec_looks_at_the_box_of_the_surest_prediction():
    truth = box(0, 0, 10, 10)
    sample = image(
        0, strip(10), (strip(10), 0.1), (strip(5), 0.9), truth_box=truth, boxes=np.stack([truth, box(50, 0, 1, 1)])
    )
    assert evaluate(REFCOCO, [sample]).scores["REC IoU"] == 0


def test_rec_without_boxes():
    bare = image(0, strip(10), (strip(10), 1.0))
    boxed = image(1, strip(10), (strip(10), 1.0), truth_box=box(0, 0, 1, 1), boxes=box(0, 0, 1, 1)[None])
    assert "REC IoU" not in evaluate(REFCOCO, [bare]).scores
    with pytest.raises(DataError, match="1 of 2 images have predictions without a box"):
        evaluate(REFCOCO, [bare, boxed])


def test_what_cannot_be_scored():
    with pytest.raises(DataError, match="image 'x': masks are 4x3 pixels and the truth 20x10"):
        evaluate(A2D, [ImageSample("x", strip(1), np.zeros((1, 3, 4), bool), np.ones(1))])
    with pytest.raises(DataError, match="image 'x': a score is not finite"):
        evaluate(A2D, [image("x", strip(1), (strip(1), np.nan))])
