"""Every recorded output of the official VD-IT head, within 1e-4."""

import pytest
import torch

from vdprobe.head.losses import head_losses

BAR = 1e-4
LOSSES = {
    "score": "loss_ce",
    "l1": "loss_bbox",
    "giou": "loss_giou",
    "focal": "loss_mask",
    "dice": "loss_dice",
    "coarse_focal": "loss_mask_low",
    "coarse_dice": "loss_dice_low",
}


@pytest.fixture(params=["one_clip", "two_padded_clips"])
def recorded(request):
    return request.getfixturevalue(request.param)


def assert_recorded(recorded, values):
    for name, value in values.items():
        if name in recorded.tensors:
            assert value.shape == recorded.tensors[name].shape, name
            assert (value - recorded.tensors[name]).abs().max() <= BAR, name


def answers(mode, found):
    fields = {"pred_logits": found.logits[..., None], "pred_boxes": found.boxes, "pred_masks": found.masks}
    return {f"{mode}.{name}": value for name, value in (fields | {"reference_points": found.points}).items()}


@torch.inference_mode()
def test_the_best_query(head, recorded):
    assert_recorded(recorded, answers("eval", head.best(head(*recorded.inputs))))


@torch.inference_mode()
def test_every_query(head, one_clip):
    assert_recorded(one_clip, answers("eval_all", head.every(head(*one_clip.inputs))))


def test_training_outputs_and_losses(head, recorded):
    outputs = head.matched(head(*recorded.inputs), recorded.target)
    last = outputs[-1]
    assert last.query.tolist() == recorded.tensors["train.matched_query"].tolist()
    values = {"pred_logits": last.logits[..., None], "pred_boxes": last.boxes}
    values |= {"pred_masks": last.masks, "pred_masks_low": last.coarse_masks}
    assert_recorded(recorded, {f"train.{name}": value for name, value in values.items()})
    first, second = head_losses(outputs, recorded.target)
    for ours, theirs in LOSSES.items():
        losses = {f"loss.{theirs}_0": getattr(first, ours)[None], f"loss.{theirs}": getattr(second, ours)[None]}
        assert losses.keys() <= recorded.tensors.keys()
        assert_recorded(recorded, losses)
    weighted = 2 * sum_of(second, "score", "giou", "focal", "coarse_focal")
    weighted += 5 * sum_of(second, "l1", "dice", "coarse_dice")
    torch.testing.assert_close(second.total, weighted)


def sum_of(layer, *names):
    return sum(getattr(layer, name) for name in names)
