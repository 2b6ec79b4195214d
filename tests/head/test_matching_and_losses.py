import pytest
import torch

from vdprobe.head.boxes import generalized_iou
from vdprobe.head.losses import coarse, dice_loss, focal_loss, head_losses
from vdprobe.head.matching import match, matching_costs
from vdprobe.head.outputs import LayerOutput, Target


def box(*values):
    return torch.tensor(values)


@pytest.fixture
def target():
    """Three frames; the last does not show the object."""
    masks = torch.zeros(1, 3, 8, 8, dtype=torch.bool)
    masks[:, :2, 2:6, 2:6] = True
    boxes = torch.tensor([[[0.5, 0.5, 0.5, 0.5]] * 2 + [[0.0, 0.0, 0.0, 0.0]]])
    return Target(boxes, masks, visible=torch.tensor([[True, True, False]]))


def prediction(target, right):
    """Queries of which the one called `right` is right, the others are not."""
    logits = torch.full((1, 3, 3), -4.0)
    logits[:, :, right] = 4
    boxes = torch.full((1, 3, 3, 4), 0.1)
    boxes[:, :, right] = target.boxes
    masks = torch.full((1, 3, 3, 4, 4), -6.0)
    masks[:, :, right] = torch.where(target.masks[..., 1::2, 1::2], 6.0, -6.0)
    return logits, boxes, masks


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        (box(0.5, 0.5, 1.0, 1.0), box(0.5, 0.5, 1.0, 1.0), 1.0),
        (box(0.25, 0.5, 0.5, 1.0), box(0.5, 0.5, 1.0, 1.0), 0.5),
        (box(0.25, 0.5, 0.5, 1.0), box(0.75, 0.5, 0.5, 1.0), 0.0),
        (box(0.1, 0.1, 0.2, 0.2), box(0.9, 0.9, 0.2, 0.2), 0 - (1 - 0.08) / 1),
        (box(0.0, 0.0, 0.0, 0.0), box(0.0, 0.0, 0.0, 0.0), 0.0),
    ],
)
def test_generalized_iou_by_hand(a, b, iou):
    assert generalized_iou(a, b).item() == pytest.approx(iou, abs=1e-4)


def test_each_row_has_its_own_loss():
    logits = torch.tensor([[0.0, 0.0], [30.0, -30.0]])
    truth = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert focal_loss(logits, truth).tolist() == pytest.approx([0.25 * 0.693147 / 2, 0], rel=1e-5)
    assert dice_loss(logits, truth).tolist() == pytest.approx([1 - 2 / 3, 0])


def test_coarse_masks_take_the_last_pixel_of_each_square():
    pixels = torch.arange(16).reshape(4, 4)
    assert coarse(pixels).tolist() == [[5, 7], [13, 15]]


def test_what_a_query_costs_by_hand():
    """A query that does not know, with the right box: one cell of four is the object's."""
    masks = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    masks[..., 1, 1] = True
    there = torch.tensor([[[0.5, 0.5, 0.4, 0.4]]])
    target = Target(there, masks, visible=torch.ones(1, 1, dtype=torch.bool))
    moved = there + torch.tensor([0.0, 0.0, 0.1, 0.0])
    boxes = torch.stack([there, moved], dim=2)
    right, wide = matching_costs(torch.zeros(1, 1, 2), boxes, torch.zeros(1, 1, 2, 2, 2), target)[0].tolist()
    log2 = 0.693147
    score = (0.25 - 0.75) * 0.25 * log2
    focal = (0.25 + 3 * 0.75) / 4 * 0.25 * log2
    dice = 1 - (2 * 0.5 + 1) / (4 * 0.5 + 1 + 1)
    assert right == pytest.approx(2 * score - 2 * 1 + 2 * focal + 5 * dice, abs=1e-4)
    assert wide - right == pytest.approx(5 * 0.1 + 2 * (1 - 0.8), abs=1e-4)


@pytest.mark.parametrize("right", [0, 1, 2])
def test_the_right_query_is_matched(target, right):
    assert match(*prediction(target, right), target).tolist() == [right]


@pytest.mark.parametrize("part", [0, 1, 2])
def test_score_box_and_mask_decide_each_by_itself(target, part):
    even, right = list(prediction(target, 0)), prediction(target, 2)
    alike = [x[:, :, 1:2].expand_as(x).clone() for x in even]  # queries that differ in nothing
    alike[part] = right[part]
    assert match(*alike, target).tolist() == [2]


def test_the_score_counts_only_where_the_object_is(target):
    logits, boxes, masks = prediction(target, 1)
    changed = logits.clone()
    changed[:, 2] = 9
    assert torch.equal(matching_costs(changed, boxes, masks, target), matching_costs(logits, boxes, masks, target))
    changed[:, 1] = 9
    assert not torch.equal(matching_costs(changed, boxes, masks, target), matching_costs(logits, boxes, masks, target))


def test_a_clip_that_never_shows_the_object_has_finite_costs_and_losses(target):
    empty = Target(torch.zeros_like(target.boxes), torch.zeros_like(target.masks), torch.zeros_like(target.visible))
    logits, boxes, masks = prediction(target, 1)
    assert torch.isfinite(matching_costs(logits, boxes, masks, empty)).all()
    fine = masks[:, :, 1].repeat_interleave(2, -1).repeat_interleave(2, -2)
    (loss,) = head_losses([LayerOutput(logits, boxes, torch.tensor([1]), fine, masks[:, :, 1])], empty)
    assert torch.isfinite(loss.total)


def test_a_right_answer_costs_little(target):
    logits, boxes, masks = prediction(target, 1)
    fine = torch.where(target.masks, 6.0, -6.0)
    right = LayerOutput(logits * 3, boxes, torch.tensor([1]), fine, masks[:, :, 1])
    wrong = LayerOutput(logits * 3, boxes, torch.tensor([0]), -fine, masks[:, :, 0])
    costs = [layer.total.item() for layer in head_losses([right, wrong], target)]
    # An absent object's boxes of zeros match here; the score still says yes in that frame.
    assert head_losses([right], target)[0].l1 == 0
    assert costs[0] < 0.25 * costs[1]
