"""Several workers on one store: what a living one holds, no other computes; what a dead one held is taken over."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from vdprobe.extraction import run as run_module
from vdprobe.extraction.plan import make_plan
from vdprobe.extraction.run import extract
from vdprobe.extraction.shares import Shares
from vdprobe.specs.canonical import to_plain
from vdprobe.store import claims
from vdprobe.store.layout import item_path
from vdprobe.store.owner import host
from vdprobe.store.store import FeatureStore

WORKER = """
import json, sys
from vdprobe.extraction.compute import Computer
from vdprobe.extraction.stores import make_store
from vdprobe.extraction.config import parse_config
from vdprobe.extraction.plan import make_plan
from vdprobe.extraction.run import extract

plain = Computer.run

def hold(self, clip, *rest):
    Computer.run = plain
    print(clip.name, flush=True)
    sys.stdin.readline()
    plain(self, clip, *rest)

Computer.run = hold
config = parse_config(json.loads(sys.argv[1]))
report = extract(make_plan(config), make_store(config.store))
print(json.dumps({"written": report.written, "forwards": report.forwards, "ok": report.ok}))
"""
HOLDER = """
import sys
from vdprobe.store.store import FeatureStore

store = FeatureStore.open(sys.argv[1])
print(all(store.claim(name) for name in sys.argv[2:]), flush=True)
sys.stdin.readline()
"""


def start(code, *args):
    command = [sys.executable, "-c", code, *args]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def claim_names(plan, clip):
    """What a worker claims of a clip."""
    shares = Shares(FeatureStore(Path("nowhere")))
    taken = []
    shares.store = type("Store", (), {"claim": lambda _, name: taken.append(name) or True})()
    shares.take_all(clip, {spec: [] for spec in plan.specs})
    return taken


def test_what_a_living_worker_computes_is_waited_for(configure, run, contents, monkeypatch, tmp_path):
    alone, _, whole = run(configure(store={"path": str(tmp_path / "alone")}))
    config = configure()
    plan = make_plan(config)
    other = start(WORKER, json.dumps(to_plain(config)))
    assert other.stdout.readline() == f"{plan.clips[0].name}\n"  # it holds the first clip, and waits
    store = FeatureStore.create(config.store.path)
    seen = []

    def pause(clips):
        seen.append((clips, len(list(store.items()))))
        monkeypatch.setattr(run_module, "pause", lambda _: None)
        said, _ = other.communicate("go on\n")
        seen.append(json.loads(said))

    monkeypatch.setattr(run_module, "pause", pause)
    report = extract(plan, store)
    of_a_clip = report.items // 4
    assert seen[0] == (1, 3 * of_a_clip)  # there was nothing left to do but to wait
    theirs = seen[1]
    assert theirs == {"written": of_a_clip, "forwards": whole.forwards // 4, "ok": True}
    assert (report.written, report.already, report.ok) == (3 * of_a_clip, of_a_clip, True)
    assert report.forwards + theirs["forwards"] == whole.forwards  # nothing was computed twice
    assert contents(store) == contents(alone)
    assert not list((store.root / "claims").iterdir())


def test_what_a_worker_held_that_dies_is_taken_over(configure, monkeypatch):
    config = configure()
    plan, store = make_plan(config), FeatureStore.create(config.store.path)
    other = start(HOLDER, str(store.root), *claim_names(plan, plan.clips[1]))
    assert other.stdout.readline() == "True\n"
    waited = []

    def pause(clips):
        waited.append(clips)
        other.kill()
        other.communicate()

    monkeypatch.setattr(run_module, "pause", pause)
    report = extract(plan, store)
    assert waited == [1]
    assert report.ok and report.written == report.items == len(list(store.items()))
    assert not list((store.root / "claims").iterdir())


def test_a_dead_workers_claim_is_not_waited_for(configure, monkeypatch):
    config = configure()
    plan, store = make_plan(config), FeatureStore.create(config.store.path)
    other = start(HOLDER, str(store.root), *(name for clip in plan.clips for name in claim_names(plan, clip)))
    assert other.stdout.readline() == "True\n"
    other.kill()
    other.communicate()
    monkeypatch.setattr(run_module, "pause", lambda _: pytest.fail("waited"))
    monkeypatch.setattr(run_module, "clean_leftovers", lambda _: None)  # it dies only afterwards
    report = extract(plan, store)
    assert report.ok and report.written == report.items


def test_a_worker_of_another_host_is_waited_for_while_it_touches_its_claim(configure, monkeypatch):
    config = configure()
    plan, store = make_plan(config), FeatureStore.create(config.store.path)
    (name, *_) = claim_names(plan, plan.clips[0])
    path = claims.claim_path(store.root, name)
    path.parent.mkdir()
    path.write_text(json.dumps({"name": name, "host": "elsewhere", "pid": 1, "time": 0}))
    waited = []

    def pause(clips):
        waited.append(clips)
        if len(waited) == 3:
            os.utime(path, (time.time() - claims.LEASE - 60,) * 2)

    monkeypatch.setattr(run_module, "pause", pause)
    report = extract(plan, store)
    assert waited == [1, 1, 1]
    assert report.ok and report.written == report.items


def test_grids_that_overlap_share_what_they_have_in_common(configure, run, monkeypatch):
    """Another worker with other conditions holds what both have; the rest of the clip is not waited for."""
    config = configure(conditions=["vd-i", "vd-t"])
    plan, store = make_plan(config), FeatureStore.create(config.store.path)
    theirs = make_plan(configure(conditions=["vd-t"]))
    common = {spec.key for spec in theirs.specs}
    clip = plan.clips[0]
    other = start(HOLDER, str(store.root), *claim_names(theirs, clip))
    assert other.stdout.readline() == "True\n"
    seen = []

    def pause(clips):
        for spec in plan.specs:
            there = [item_path(store.root, spec.key, item).exists() for item in clip.items(spec)]
            seen.append(there == [spec.key not in common] * len(there))
        other.communicate("done\n")

    monkeypatch.setattr(run_module, "pause", pause)
    report = extract(plan, store)
    assert seen == [True] * len(plan.specs) == [True] * 3
    assert report.ok and report.written == report.items


def test_a_claim_is_held_until_what_it_is_for_is_written(configure, monkeypatch):
    """Not until it is computed: whoever took it between would compute it again."""
    config = configure()
    plan, store = make_plan(config), FeatureStore.create(config.store.path)
    write, held = FeatureStore.write, []

    def slow(self, spec, item, *args, **kwargs):
        clip = next(c for c in plan.clips if (c.video.id, c.frames) == (item.video, item.frames))
        held.extend(claims.claim_path(store.root, name).exists() for name in claim_names(plan, clip))
        return write(self, spec, item, *args, **kwargs)

    monkeypatch.setattr(FeatureStore, "write", slow)
    assert extract(plan, store).ok
    assert held and all(held)
    assert not list((store.root / "claims").iterdir())


def test_a_finished_store_gets_its_lost_spec_back(configure, run):
    config = configure()
    store, plan, _ = run(config)
    for spec in plan.specs:
        (store.root / spec.key[:16] / "spec.json").unlink()
    assert list(store.items()) == []
    report = extract(plan, store)
    assert (report.written, report.already) == (0, report.items)
    assert len(list(store.items())) == report.items


def test_claims_are_touched_by_their_holder(tmp_path):
    store = FeatureStore.create(tmp_path / "store")
    assert store.claim("mine")
    path = claims.claim_path(store.root, "mine")
    os.utime(path, (time.time() - claims.LEASE - 60,) * 2)
    assert claims.why_dead(store.root, path) is not None
    claims._held.touch()
    assert claims.why_dead(store.root, path) is None
    store.release("mine")
    claims._held.touch()
    assert not path.exists()


@pytest.mark.parametrize("act", [claims.take, lambda root, name: claims.drop_dead(root, claims.claim_path(root, name))])
def test_a_dead_claim_that_another_took_over_is_left_to_it(tmp_path, monkeypatch, act):
    """Even where it does so after this process saw that the claim is dead."""
    store = FeatureStore.create(tmp_path / "store")
    path = claims.claim_path(store.root, "dead")
    path.parent.mkdir()
    path.write_text(json.dumps({"name": "dead", "host": host(), "pid": 2**22 + 1, "time": 0}))
    alone, theirs = claims._alone, json.dumps({"name": "dead", "host": host(), "pid": os.getpid(), "time": 0})

    @contextmanager
    def late(root):
        path.write_text(theirs)
        with alone(root):
            yield

    monkeypatch.setattr(claims, "_alone", late)
    assert not act(store.root, "dead")
    assert path.read_text() == theirs


def test_one_of_many_takes_over_a_dead_claim(tmp_path):
    store = FeatureStore.create(tmp_path / "store")
    path = claims.claim_path(store.root, "dead")
    path.parent.mkdir()
    for _ in range(2):
        path.write_text(json.dumps({"name": "dead", "host": host(), "pid": 2**22 + 1, "time": 0}))
        others = [start(HOLDER, str(store.root), "dead") for _ in range(3)]
        assert sorted(other.stdout.readline() for other in others) == ["False\n", "False\n", "True\n"]
        for other in others:
            other.communicate("done\n")
