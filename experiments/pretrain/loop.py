"""One training loop for all parts of the recipe: AdamW, warm-up, a way down to zero, logged, resumable.

A part's batch is a function of the step's number alone: a run that was stopped and resumed sees the
same batches as one that was not.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


def read_options(doc: str, **sizes: int) -> argparse.Namespace:
    """What every recipe takes: `--out`, `--device`, and an option for each of `sizes` with its default."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/tiny-t2v"))
    parser.add_argument("--device", default="cpu")
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


@dataclass(frozen=True)
class Schedule:
    """How long, and how fast: `rate` after `warmup` steps, then down a cosine to zero at `steps`.

    With a `tail` the rate stays until that share of the steps is left, and then falls along a line: so a
    longer training can go on from the state of a shorter one, from before its tail.
    """

    steps: int
    rate: float
    warmup: int = 200
    weight_decay: float = 1e-2
    clip: float = 1.0
    tail: float | None = None

    def at(self, step: int) -> float:
        """Learning rate at a step."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        if self.tail is not None:
            return self.rate * min(1.0, (self.steps - step) / (self.tail * self.steps))
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def train(
    folder: Path,
    model: nn.Module,
    batch: Callable[[int], Any],
    loss: Callable[[Any], dict[str, Tensor]],
    schedule: Schedule,
    *,
    validate: Callable[[], dict[str, float]],
    validate_every: int = 1000,
    log_every: int = 50,
    save_seconds: float = 120,
) -> None:
    """Trains `model` in place until the schedule's end; `folder` keeps `state.pt` and `log.jsonl`.

    - `batch`: step to what `loss` takes; called in another process, so it must be a module's function
      (or a `functools.partial` of one).
    - `loss`: named losses; `total` is the one that is minimised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    rest = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": schedule.weight_decay}, {"params": rest, "weight_decay": 0.0}],
        lr=schedule.rate,
        betas=(0.9, 0.98),
    )
    first, spent = _resume(folder, model, optimizer)
    if first:
        print(f"{folder.name}: resumed at step {first} of {schedule.steps}", flush=True)
    started = saved = time.monotonic()
    sums: dict[str, float] = {}
    count = 0
    model.train()
    for step, ready in zip(range(first, schedule.steps), _batches(batch, first, schedule.steps), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = schedule.at(step)
        torch.manual_seed(step)
        losses = loss(ready)
        total = losses["total"]
        if not torch.isfinite(total):
            raise SystemExit(f"{folder.name}: the loss is {total.item()} at step {step}; lower the rate")
        total.backward()
        norm = nn.utils.clip_grad_norm_([*decayed, *rest], schedule.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for name, value in {**losses, "norm": norm}.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        count += 1
        done = step + 1
        seconds = spent + time.monotonic() - started
        last = done == schedule.steps
        if done % log_every == 0 or last:
            record = {"step": done, "seconds": round(seconds, 1), "rate": round(schedule.at(step), 8)}
            record |= {name: round(value / count, 6) for name, value in sums.items()}
            sums, count = {}, 0
            if done % validate_every == 0 or last:
                model.eval()
                with torch.no_grad():
                    record |= {name: round(value, 5) for name, value in validate().items()}
                model.train()
            with open(folder / "log.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            print(f"{folder.name}: {record}", flush=True)
        if last or time.monotonic() - saved > save_seconds:
            saved = time.monotonic()
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            state |= {"step": done, "seconds": seconds, "done": last}
            torch.save(state, folder / "state.pt.part")
            os.replace(folder / "state.pt.part", folder / "state.pt")
    model.eval()


class _Steps(Dataset[Any]):
    def __init__(self, batch: Callable[[int], Any], first: int, last: int) -> None:
        self.batch, self.first, self.last = batch, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, k: int) -> Any:
        return self.batch(self.first + k)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def _batches(batch: Callable[[int], Any], first: int, last: int) -> Iterator[Any]:
    """The batches in order, made in a process of their own while the model trains."""
    if first == last:
        return iter(())
    return iter(
        DataLoader(
            _Steps(batch, first, last),
            batch_size=None,
            num_workers=1,
            prefetch_factor=4,
            worker_init_fn=_one_thread,
            multiprocessing_context="spawn",
        )
    )


def _resume(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    path = folder / "state.pt"
    if not path.is_file():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    # What was logged after the last saved state is done again.
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines() if (folder / "log.jsonl").exists() else []
    kept = [line for line in lines if json.loads(line)["step"] <= state["step"]]
    (folder / "log.jsonl").write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    return state["step"], state["seconds"]


def load_trained(folder: Path, model: nn.Module) -> None:
    """Puts the weights of a finished run into `model`, frozen. Raises `SystemExit` when it is not finished."""
    path = folder / "state.pt"
    state = torch.load(path, weights_only=True) if path.is_file() else {"done": False}
    if not state["done"]:
        raise SystemExit(f"the training of {folder} is not finished: run its script (again)")
    model.load_state_dict(state["model"])
    model.eval().requires_grad_(False)
