import pytest
import torch

from vdprobe.training.losses import dice_loss, focal_loss, mask_loss


def test_values_worked_out_by_hand():
    logits = torch.tensor([0.0, 0.0])  # p = 0.5
    truth = torch.tensor([1.0, 0.0])
    # alpha (1 - p)^2 log 2 for the object, (1 - alpha) p^2 log 2 for the rest, averaged
    assert focal_loss(logits, truth).item() == pytest.approx((0.25 + 0.75) * 0.25 * 0.693147 / 2, rel=1e-5)
    assert dice_loss(logits, truth).item() == pytest.approx(1 - (2 * 0.5 + 1) / (1 + 1 + 1))
    loss = mask_loss(logits.reshape(1, 1, 2), truth.reshape(1, 1, 2) > 0, torch.ones(1, 2, dtype=torch.bool))
    assert loss.total.item() == pytest.approx(2 * loss.focal.item() + 5 * loss.dice.item())


def test_a_right_answer_costs_nothing_and_a_wrong_one_a_lot():
    truth = torch.rand(2, 4, 4) > 0.5
    valid = torch.ones(4, 4, dtype=torch.bool)
    right = mask_loss(torch.where(truth, 30.0, -30.0), truth, valid)
    wrong = mask_loss(torch.where(truth, -30.0, 30.0), truth, valid)
    assert right.total.item() < 1e-3
    assert wrong.total.item() > 5


def test_padding_does_not_count():
    logits, truth = torch.randn(2, 3, 4), torch.rand(2, 3, 4) > 0.5
    valid = torch.zeros(3, 4, dtype=torch.bool)
    valid[:2, :3] = True
    cropped = mask_loss(logits[:, :2, :3], truth[:, :2, :3], torch.ones(2, 3, dtype=torch.bool))
    assert mask_loss(logits, truth, valid).total == cropped.total
