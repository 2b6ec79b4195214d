import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vdprobe.data.moving_shapes import make_video
from vdprobe.data.write_video import write_video
from vdprobe.errors import ModelError, StoreUnusableError
from vdprobe.extraction.plan import make_plan
from vdprobe.models.diffusion.adapter_set import open_adapter
from vdprobe.models.diffusion.family import family_of
from vdprobe.models.diffusion.pipeline import find_pipeline
from vdprobe.store.check import verify
from vdprobe.store.store import FeatureStore

OFFICIAL = Path(__file__).parents[1] / "fixtures" / "vdit_extractor"
FULL = {
    "model": {"adapter": "random:0"},
    "conditions": ["vd-i", "vd-t", "vd-it", "concat"],
    "noises": ["none", "gaussian", "frame-shared", "predicted"],
    "timesteps": [0, 500],
}


def test_the_whole_grid_and_what_is_shared(configure, run):
    store, plan, report = run(configure(**FULL))
    assert report.ok
    assert len(plan.specs) == 17  # the VAE once, and 4 x 4
    clips = 2 * 2
    assert report.items == report.written == clips * (1 + 4 * 1 + 3 * 4 * 2)  # vd-i needs no text
    assert report.forwards == clips * 16 * 2  # all texts of a clip in one forward, a timestep at a time
    by_label = {spec.label: spec for spec in plan.specs}
    clip = plan.clips[0]
    values = {
        label: store.get(spec.key, clip.items(spec)[0]).read("unet.down.0", timestep=500)
        for label, spec in by_label.items()
        if label != "vae"
    }
    assert len({value.tobytes() for value in values.values()}) == 16
    shape = store.get(by_label["vae"].key, clip.items(by_label["vae"])[0]).read("vae.down.2").shape
    assert shape == (2, 64, 16, 24)


def test_again_does_nothing_and_loads_nothing(configure, run, monkeypatch):
    config = configure()
    run(config)
    monkeypatch.setattr("vdprobe.extraction.compute.Computer.load", None)  # calling it would fail
    _, _, report = run(config)
    assert (report.written, report.forwards, report.already) == (0, 0, report.items)


def test_a_finished_extraction_needs_no_torch(configure, run, videos, tmp_path):
    run(configure())
    code = f"""
import sys
from vdprobe.extraction.config import parse_config
from vdprobe.extraction.plan import make_plan
from vdprobe.extraction.run import extract
from vdprobe.store.check import verify
from vdprobe.store.store import FeatureStore
from pathlib import Path
import json
import os
import shutil
values = json.loads({json.dumps(json.dumps(config_values(configure())))})
report = extract(make_plan(parse_config(values)), FeatureStore.create(Path(values["store"]["path"])))
assert report.already == report.items > 0
assert not {{"torch", "diffusers", "zarr"}} & set(sys.modules), "heavy imports"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def config_values(config):
    from vdprobe.specs.canonical import to_plain

    return to_plain(config)


def test_items_that_are_lost_are_made_again_and_equal(configure, run, contents):
    config = configure(**FULL)
    store, plan, _ = run(config)
    before = contents(store)
    for spec in plan.specs[::3]:
        for item in list(store.items(spec.key))[::2]:
            shutil.rmtree(item.path)
    _, _, report = run(config)
    assert 0 < report.written < report.items
    assert contents(store) == before


def test_only_forwards_with_something_lost_are_made_again(configure, run):
    config = configure(timesteps=[0, 500], batch_size=1)
    store, plan, _ = run(config)
    spec, clip = plan.specs[-1], plan.clips[0]
    shutil.rmtree(store.get(spec.key, clip.items(spec)[1]).path)
    _, _, report = run(config)
    assert (report.written, report.forwards) == (1, 2)  # one text at both timesteps


def test_shards_together_are_the_whole(configure, run, contents, tmp_path):
    whole = contents(run(configure())[0])
    apart = configure(store={"path": str(tmp_path / "shards")})
    reports = [run(apart, shard=(i, 3))[2] for i in (2, 0, 1)]
    assert sum(r.items for r in reports) == sum(r.written for r in reports)
    assert contents(FeatureStore.open(tmp_path / "shards")) == whole


def test_a_shard_reads_only_its_own_videos(configure, monkeypatch):
    from vdprobe.extraction import plan

    read = []
    digest = plan.content_digest
    monkeypatch.setattr(plan, "content_digest", lambda video: read.append(video.id) or digest(video))
    make_plan(configure(clips={"frames": 4}), (1, 2))  # one clip a video: the second shard has the second video
    assert read == ["b"]
    read.clear()
    make_plan(configure())
    assert read == ["a", "b"]  # once each, whatever their number of clips


def test_values_do_not_depend_on_the_batch_size(configure, run, contents, tmp_path):
    """Beyond float rounding in general; not by one bit with `exact`."""
    stores = {}
    for exact in (False, True):
        for batch in (1, 2):
            path = tmp_path / f"{exact}{batch}"
            config = configure(batch_size=batch, exact=exact, store={"path": str(path), "dtype": "float32"})
            stores[exact, batch] = run(config)[0]
    assert contents(stores[True, 1]) == contents(stores[True, 2])
    one, two = contents(stores[False, 1]), contents(stores[False, 2])
    assert one.keys() == two.keys()
    worst = max(np.abs(np.frombuffer(one[k], np.float32) - np.frombuffer(two[k], np.float32)).max() for k in one)
    assert worst < 1e-4


@pytest.fixture
def threads():
    """Sets torch's number of threads, until the test is over."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_exact_values_do_not_depend_on_the_number_of_threads(configure, run, contents, threads, tmp_path):
    flat = np.full((2, 96, 160, 3), (230, 76, 140), np.uint8)
    (tmp_path / "videos").mkdir()
    write_video(flat, tmp_path / "videos" / "flat.mp4")
    found = {}
    for count in (1, 3):
        threads(count)
        path = tmp_path / f"{count}"
        changes = {
            "videos": {"path": str(tmp_path / "videos"), "expressions": None},
            "conditions": ["vd-i"],
            "resize": {"short_side": 96},
            "taps": ["unet.up.2", "vae.down.2"],
            "store": {"path": str(path), "dtype": "float32"},
        }
        store, plan, report = run(configure(exact=True, **changes))
        assert report.ok
        assert torch.get_num_threads() == count
        found[count] = contents(store)
        assert store.get(plan.specs[0].key, plan.clips[0].items(plan.specs[0])[0]).attrs["exact"]["threads"] == 1
    assert found[1] == found[3]


def test_other_meaning_other_key(configure):
    specs = {}
    base = {"model": {"pipeline": "random:tiny"}}
    for name, change in {
        "same": {},
        "model": {"model": {"pipeline": "random:tiny:1"}},
        "dtype": {"model": {"dtype": "bfloat16"}},
        "seed": {"seed": 1},
        "timestep": {"timesteps": [1]},
        "taps": {"taps": ["unet.down.1"]},
        "latents": {"latents": "mode"},
        "resize": {"resize": {"short_side": 80}},
        "clips": {"clips": {"overlap": 1}},
        "stored": {"store": {"dtype": "int8"}},
        "noise": {"noises": ["none"]},
        "condition": {"conditions": ["concat"]},
    }.items():
        specs[name] = make_plan(configure(**{**base, **change})).specs[-1].key
    assert len(set(specs.values())) == len(specs)
    # What cannot change a value is not in the key.
    assert make_plan(configure(batch_size=1, model={"device": "auto"})).specs[-1].key == specs["same"]
    assert make_plan(configure(timesteps=["t=0"])).specs[-1].key == specs["same"]


def test_an_adapter_that_a_condition_does_not_use_is_not_in_its_key(configure):
    keys = [
        {s.label: s.key for s in make_plan(configure(model={"adapter": a}, noises=["gaussian", "none"])).specs}
        for a in ("random:0", "random:1")
    ]
    assert keys[0]["vae"] == keys[1]["vae"]
    assert keys[0]["vd-t/gaussian"] != keys[1]["vd-t/gaussian"]


def test_a_folder_of_adapters_gives_each_cell_its_own(configure, run, tmp_path):
    folder = tmp_path / "adapters"
    folder.mkdir()
    pipeline = find_pipeline("random:tiny")
    names = ("vd-i-gaussian", "vd-t-gaussian", "vd-it-gaussian", "vd-t-predicted")
    for seed, name in enumerate(names):
        open_adapter(f"random:{seed}", family_of(pipeline)).save(folder / f"{name}.safetensors")
    grid = {"conditions": ["vd-i", "vd-t", "vd-it", "concat"], "noises": ["gaussian", "none"]}
    store, plan, report = run(configure(model={"adapter": str(folder)}, **grid))
    assert report.ok
    one = plan.clips[0]
    for seed, name in enumerate(names[:3]):
        kind = name.removesuffix("-gaussian")
        alone = {
            "model": {"adapter": str(folder / f"{name}.safetensors")},
            "conditions": [kind],
            "noises": grid["noises"],
        }
        other, single, _ = run(configure(store={"path": str(tmp_path / name)}, **alone))
        for spec in single.specs[1:]:
            assert spec.key in {s.key for s in plan.specs}
            item = one.items(spec)[0]
            values = [s.get(spec.key, item).read("unet.down.0").tobytes() for s in (store, other)]
            assert values[0] == values[1], (seed, spec.label)
    forms = {spec.label: spec.condition.form for spec in plan.specs if spec.condition}
    assert forms["concat/gaussian"] == "raw"
    assert forms["vd-t/none"] == "adapter"
    with pytest.raises(
        ModelError, match=r"no adapter for vd-i with noise predicted \(vd-i-predicted.safetensors\); it has vd-i"
    ):
        make_plan(configure(model={"adapter": str(folder)}, conditions=["vd-i"], noises=["predicted"]))


def test_a_pipelines_own_adapters_are_the_default_and_none_is_raw(configure, tmp_path):
    folder = Path(shutil.copytree(OFFICIAL, tmp_path / "pipeline"))
    own = {"pipeline": str(folder), "adapter": None}
    i_alone = {"conditions": ["vd-i"]}
    assert make_plan(configure(model=own, **i_alone)).specs[-1].condition.form == "raw"
    (folder / "adapters").mkdir()
    open_adapter("random:3", family_of(find_pipeline(str(folder)))).save(
        folder / "adapters" / "vd-i-gaussian.safetensors"
    )
    assert make_plan(configure(model=own, **i_alone)).specs[-1].condition.form == "adapter"
    assert make_plan(configure(model=own | {"adapter": "none"}, **i_alone)).specs[-1].condition.form == "raw"


def test_two_workers_at_once_lose_and_duplicate_nothing(configure, run, contents, tmp_path):
    expected = contents(run(configure(store={"path": str(tmp_path / "alone")}))[0])
    values = config_values(configure())
    (tmp_path / "spec.yaml").write_text(json.dumps(values))
    command = [sys.executable, "-m", "vdprobe", "extract", str(tmp_path / "spec.yaml"), "--json"]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    reports = [json.loads(worker.communicate()[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sum(report["written"] for report in reports) == reports[0]["items"]
    assert contents(FeatureStore.open(tmp_path / "store")) == expected
    assert not list((tmp_path / "store" / "tmp").iterdir())
    assert not list((tmp_path / "store" / "claims").iterdir())


def test_a_broken_video_does_not_stop_the_others(configure, run, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    write_video(make_video("train", 0, frames=2, side=64).rendering.frames, folder / "good.mp4")
    (folder / "torn.mp4").write_bytes((folder / "good.mp4").read_bytes()[:500])
    (folder / "texts.json").write_text(json.dumps({"good": ["a red disk", "  "], "torn": ["x"]}))
    videos = {"path": str(folder), "expressions": str(folder / "texts.json")}
    store, _, report = run(configure(videos=videos))
    assert {failure.where for failure in report.failures} == {"torn", "good/1"}
    assert report.written == 2  # the VAE's and the one text's
    assert len(list(store.items())) == 2


def test_a_video_without_text_where_text_is_needed(configure, run):
    config = configure(videos={"expressions": None}, conditions=["vd-t", "vd-i"])
    _, _, report = run(config)
    assert [f.where for f in report.failures] == ["a", "b"]
    assert "give --expressions FILE, or take condition vd-i" in report.failures[0].error
    assert report.written == 2 * 2 * 2  # VAE and vd-i are there all the same


def test_equal_texts_share_one_item(configure, run, videos, tmp_path):
    (tmp_path / "same.json").write_text(json.dumps({"a": ["a disk", "a disk"], "b": ["a disk"]}))
    _, plan, report = run(configure(videos={"expressions": str(tmp_path / "same.json")}))
    assert [len(clip.items(plan.specs[-1])) for clip in plan.clips] == [1, 1, 1, 1]
    assert report.written == 4 * 2


def test_a_clip_of_one_frame_and_a_long_text_are_reported(configure, run, tmp_path):
    (tmp_path / "long.json").write_text(json.dumps({"a": ["word " * 30], "b": ["b"]}))
    config = configure(clips={"frames": 1}, videos={"expressions": str(tmp_path / "long.json")})
    store, plan, report = run(config)
    facts = " | ".join(report.notes)
    assert "clip of one frame: the temporal layers are skipped" in facts
    assert "text of 122 tokens cut to 77" in facts
    stored = store.get(plan.specs[-1].key, plan.clips[0].items(plan.specs[-1])[0])
    assert stored.attrs["text_tokens_before_cut"] == 122
    assert stored.attrs["sigma"] == [pytest.approx(0.02917, abs=1e-4)]


def test_features_that_are_not_finite_are_refused_and_the_rest_goes_on(configure, run, monkeypatch):
    from vdprobe.extraction import compute

    plain = compute.to_numpy

    def spoil(value):
        out = plain(value)
        if len(out) == 2:  # both texts share a forward; the VAE's taps stay as they are
            out[0, 0, 0, 0, 0] = np.inf
        return out

    monkeypatch.setattr(compute, "to_numpy", spoil)
    _, _, report = run(configure(batch_size=2))
    assert len(report.failures) == 4  # the first text of each of four clips
    assert "unet.down.0" in report.failures[0].error
    assert report.written == report.items - 4


def test_a_full_disk_stops_the_job_and_keeps_what_is_there(configure, run, monkeypatch):
    config = configure()
    write, calls = FeatureStore.write, []

    def fill(self, *args, **kwargs):
        calls.append(1)
        if len(calls) > 3:
            raise StoreUnusableError("no space left; free some, then run the same command again")
        return write(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "write", fill)
        _, _, report = run(config)
    assert report.stopped == "no space left; free some, then run the same command again"
    assert not report.ok
    _, _, report = run(config)
    assert report.ok
    assert report.already == 3


def test_an_interruption_leaves_a_valid_store(configure, run, contents, monkeypatch):
    config = configure()
    from vdprobe.extraction.compute import Computer

    plain, calls = Computer.run, []

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        plain(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Computer, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    store, _, report = run(config)
    assert report.ok
    assert report.already == 2 * 3
    assert list(verify(store)) == []
    assert not list((store.root / "claims").iterdir())


def test_shards_out_of_range(configure):
    from vdprobe.errors import ConfigError

    with pytest.raises(ConfigError, match="shard 2/2 does not exist"):
        make_plan(configure(), (2, 2))


def test_noise_of_a_frame_is_the_same_in_overlapping_clips(configure, run):
    """A frame's latents and noise belong to the frame: at the first layer, before frames mix."""
    config = configure(clips={"frames": 2, "overlap": 1}, taps=["unet.conv_in"], store={"dtype": "float32"})
    store, plan, _ = run(config)
    spec = plan.specs[-1]
    first, second = (store.get(spec.key, clip.items(spec)[0]).read("unet.conv_in") for clip in plan.clips[:2])
    assert plan.clips[0].frames[1] == plan.clips[1].frames[0]
    assert np.array_equal(first[1], second[0])


def test_provenance_is_beside_the_features(configure, run):
    store, plan, _ = run(configure())
    stored = store.resolve_spec(plan.specs[0].key[:8])
    assert stored.provenance["versions"]["torch"]
    assert stored.provenance["config"]["videos"]["path"]
    assert stored.spec["model"]["name"] == "random:tiny"


def test_compile_is_an_option_that_changes_no_key(configure):
    config = configure()
    assert make_plan(config).specs == make_plan(replace(config, model=replace(config.model, compile=True))).specs
    assert "the object moving up" in make_plan(config).clips[0].texts


def test_odd_sizes_and_still_pictures(configure, run, tmp_path):
    """50 x 75 pixels: padded to 64 x 80, and 10 columns of latents do not halve evenly."""
    from PIL import Image

    folder = tmp_path / "stills"
    folder.mkdir()
    for k, picture in enumerate(make_video("train", 0, frames=3, side=96).rendering.frames):
        Image.fromarray(picture[:50, :75]).save(folder / f"{k}.png")
    size = {"short_side": None, "long_side": None}
    videos = {"path": str(folder), "expressions": None}
    config = configure(videos=videos, conditions=["vd-i"], resize=size, taps=["unet.up.1", "unet.down.1"])
    store, plan, report = run(config)
    assert report.ok
    item = store.get(plan.specs[0].key, plan.clips[0].items(plan.specs[0])[0])
    assert item.attrs["frame_size"] == [50, 75]
    assert item.attrs["padded_size"] == [64, 80]
    assert item.read("unet.up.1").shape == (2, 64, 4, 5)
    assert item.read("unet.down.1").shape == (2, 32, 2, 3)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 300 KB, and a function that mounts it again with other options."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nothing be mounted")
    yield folder, lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_and_one_that_is_read_only(configure, run, small_disk):
    folder, remount = small_disk
    config = configure(store={"path": str(folder / "store")})
    store, _, report = run(config)
    assert not report.ok
    assert "free" in report.stopped
    assert "\n" not in report.stopped
    assert 0 < report.written < report.items
    assert list(verify(store)) == []  # what is there is whole
    remount("ro")
    with pytest.raises(StoreUnusableError, match="--store") as caught:
        run(config)
    assert "\n" not in str(caught.value)
    remount("rw,size=64m")
    assert run(config)[2].ok


def test_a_timestep_has_its_values_in_any_grid(configure, run, tmp_path):
    def read(timesteps, t):
        store, plan, _ = run(configure(timesteps=timesteps, store={"path": str(tmp_path / str(timesteps))}))
        spec = plan.specs[-1]
        return store.get(spec.key, plan.clips[0].items(spec)[0]).read("unet.down.0", timestep=t)

    assert np.array_equal(read([0, 500], 500), read([500], 500))
    assert np.array_equal(read([500, 0], 0), read([0], 0))
    assert not np.array_equal(read([0, 500], 0), read([0, 500], 500))
