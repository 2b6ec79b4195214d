import importlib
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

PLACE = Path(__file__).parents[2] / "experiments" / "pretrain"


@pytest.fixture(scope="module")
def loop():
    sys.path.insert(0, str(PLACE))  # its workers inherit it
    yield importlib.import_module("loop")
    sys.path.remove(str(PLACE))


class Stop(Exception):
    pass


def run(loop, folder, *, stop_after=None, save_seconds=0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    seen = []

    def loss(step):
        if len(seen) == stop_after:
            raise Stop
        seen.append(step)
        x = torch.full((5, 3), float(step)) + torch.randn(5, 3)
        return {"total": (model(x) - 1).square().mean()}

    loop.train(
        folder,
        model,
        float,  # the batch of a step is its number
        loss,
        loop.Schedule(steps=8, rate=1e-2, warmup=2),
        validate=lambda: {"weight": float(model[0].weight.sum())},
        log_every=1,
        validate_every=4,
        save_seconds=save_seconds,
    )
    return model, seen


def log_of(folder):
    return [json.loads(line) | {"seconds": 0} for line in (folder / "log.jsonl").read_text().splitlines()]


def test_resumed_equals_uninterrupted(loop, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_batches", lambda batch, first, last: map(batch, range(first, last)))
    whole, seen = run(loop, tmp_path / "whole")
    assert seen == [float(k) for k in range(8)]
    with pytest.raises(Stop):
        run(loop, tmp_path / "parts", stop_after=5)
    parts, seen = run(loop, tmp_path / "parts")
    assert seen == [5.0, 6.0, 7.0]
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b)
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "parts")
    assert "weight" in log_of(tmp_path / "parts")[3]


def test_what_was_logged_after_the_last_saved_state_is_logged_once(loop, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_batches", lambda batch, first, last: map(batch, range(first, last)))
    with pytest.raises(Stop):
        run(loop, tmp_path, stop_after=3)
    with pytest.raises(Stop):
        run(loop, tmp_path, stop_after=2, save_seconds=1000)  # two more steps, not saved
    assert len(log_of(tmp_path)) == 5
    run(loop, tmp_path)
    assert [row["step"] for row in log_of(tmp_path)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_batches_come_in_order_from_another_process(loop):
    assert list(loop._batches(float, 3, 7)) == [3.0, 4.0, 5.0, 6.0]
    assert list(loop._batches(float, 7, 7)) == []


def test_only_a_finished_run_is_taken(loop, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_batches", lambda batch, first, last: map(batch, range(first, last)))
    with pytest.raises(Stop):
        run(loop, tmp_path / "part", stop_after=5)
    fresh = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    for folder in (tmp_path / "part", tmp_path / "nowhere"):
        with pytest.raises(SystemExit, match="is not finished"):
            loop.load_trained(folder, fresh)
    model, _ = run(loop, tmp_path / "part")
    loop.load_trained(tmp_path / "part", fresh)
    assert torch.equal(fresh[0].weight, model[0].weight)
    assert not fresh[0].weight.requires_grad


def test_a_loss_that_is_not_finite_stops(loop, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_batches", lambda batch, first, last: map(batch, range(first, last)))
    model = nn.Linear(1, 1)
    with pytest.raises(SystemExit, match="the loss is nan at step 0; lower the rate"):
        loop.train(
            tmp_path / "x",
            model,
            float,
            lambda _: {"total": model.weight.sum() * float("nan")},
            loop.Schedule(steps=2, rate=1e-3),
            validate=dict,
        )


def test_a_tail_leaves_the_rate_alone_until_it_begins(loop):
    short, long = (loop.Schedule(steps, 1.0, warmup=10, tail=0.2) for steps in (100, 1000))
    assert [short.at(step) for step in (0, 9, 10, 79, 80)] == [0.1, 1, 1, 1, 1]
    assert short.at(90) == pytest.approx(0.5)
    assert short.at(99) == pytest.approx(0.05)
    assert [long.at(step) for step in range(80)] == [short.at(step) for step in range(80)]
