import json
import subprocess
import sys

import h5py
import pytest
from safetensors.numpy import load_file


def test_extract_store_and_export_as_a_user_does(vdprobe, arguments, tmp_path):
    store = ("--store", tmp_path / "store")
    status, out, err = vdprobe("extract", *arguments)
    assert status == 0, err
    assert "3 items written" in err
    assert "0 failures" in err
    vae, text = (line.split()[0] for line in out.splitlines())

    status, out, _ = vdprobe("extract", *arguments, "--json")
    report = json.loads(out)
    assert (report["written"], report["already"], report["forwards"]) == (0, 3, 0)
    assert report["specs"]["vd-t/gaussian"].startswith(text)

    status, out, _ = vdprobe("store", "ls", *store)
    assert [line.split()[0] for line in out.splitlines()[1:]] == sorted([vae, text])
    assert {row["items"] for row in json.loads(vdprobe("store", "ls", *store, "--json")[1])} == {1, 2}
    status, out, _ = vdprobe("store", "show", text[:5], *store)
    assert "condition:" in out
    assert "the object moving up" in out

    assert vdprobe("store", "export", text, tmp_path / "x.h5", *store)[0] == 0
    with h5py.File(tmp_path / "x.h5") as file:
        assert len(list(file)) > 0
    assert vdprobe("store", "export", text, tmp_path / "tensors", *store)[0] == 0
    files = sorted((tmp_path / "tensors").rglob("*.safetensors"))
    assert [list(load_file(file)) for file in files] == [["unet.down.0"]] * 2
    assert vdprobe("store", "export", text, tmp_path / "x.npz", *store)[0] == 2

    assert vdprobe("store", "verify", *store)[0] == 0
    chunk = max((tmp_path / "store" / text).rglob("c/*/*/*/*/*"), key=lambda path: path.stat().st_size)
    damaged = bytearray(chunk.read_bytes())
    damaged[100] ^= 4
    chunk.write_bytes(damaged)
    status, _, err = vdprobe("store", "verify", *store)
    assert status == 1
    assert "mend with: vdprobe store repair" in err
    assert vdprobe("store", "repair", *store)[0] == 0
    assert json.loads(vdprobe("extract", *arguments, "--json")[1])["written"] == 1
    assert vdprobe("store", "verify", *store)[0] == 0

    status, _, err = vdprobe("store", "rm", text, "--yes", *store)
    assert status == 0
    assert "2 items removed" in err
    assert vdprobe("store", "show", text, *store)[0] == 1


def test_plan_and_dry_run_write_nothing(vdprobe, arguments, tmp_path):
    status, out, err = vdprobe("plan", *arguments, "--timestep", "0,sigma=1", "--json")
    assert status == 0, err
    plan = json.loads(out)
    assert plan["size"]["items_left"] == 3
    assert plan["size"]["forwards_left"] == 2
    assert [level["t"] for level in plan["timesteps"]] == [0, 354]
    assert plan["cost"]["compute"] > 0
    assert plan["free_bytes"] > 0
    status, out, err = vdprobe("extract", *arguments, "--timestep", "0,sigma=1", "--dry-run")
    assert status == 0
    assert len(out.splitlines()) == 3
    assert not (tmp_path / "store").exists()

    vdprobe("extract", *arguments, "--timestep", "0,sigma=1")
    size = sum(f.stat().st_size for f in (tmp_path / "store").rglob("c/*/*/*/*/*"))
    assert plan["size"]["bytes"] == size  # the plan's bytes are the store's, exactly
    status, out, _ = vdprobe("plan", *arguments, "--timestep", "0,sigma=1", "--no-probe")
    assert "3 (0 left to do)" in out


def test_a_spec_file_and_what_overrides_it(vdprobe, arguments, scene, tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        f"""
model: {{pipeline: "random:tiny", device: cpu}}
videos: {{path: "{scene / "scene.mp4"}", expressions: "{scene / "texts.json"}"}}
resize: {{short_side: 64}}
taps: [unet.in]
seed: 3
store: {{path: "{tmp_path / "store"}"}}
"""
    )
    command = ("extract", spec, "--dry-run", "--json", "--timestep", "7")
    first = json.loads(vdprobe(*command)[1])["would_write"]
    assert len(first) == 2
    # Option over file, --set over option.
    assert json.loads(vdprobe(*command, "--seed", "4")[1])["would_write"] != first
    assert json.loads(vdprobe(*command, "--seed", "4", "--set", "seed=3")[1])["would_write"] == first


@pytest.mark.parametrize(
    ("extra", "status", "message"),
    [
        (["--set", "modle.dtype=float32"], 2, "unknown option 'modle': did you mean 'model'"),
        (["--set", "model.dtpye=float32"], 2, "unknown option 'model.dtpye': did you mean 'dtype'"),
        (["--set", "model.dtype=float8"], 2, "option 'model.dtype' (='float8')"),
        (["--set", "seed"], 2, "is not of the form a.b=value"),
        (["--condition", "vd-x"], 2, "(='vd-x')"),
        (["--condition", "vd-it"], 1, "'vd-it' needs an adapter"),
        (["--noise", "predicted"], 1, "'predicted' needs an adapter"),
        (["--adapter", "nowhere.safetensors"], 1, "no adapter at nowhere.safetensors"),
        (["--timestep", "2000"], 2, "valid: 0..999"),
        (["--tap", "unet.down.9"], 2, "unknown tap 'unet.down_blocks.9': did you mean"),
        (["--tap", "nonsense"], 2, "list them with: vdprobe layers MODEL"),
        (["--model", "random:big"], 1, "no architecture 'big': there are"),
        (["--videos", "nowhere.mp4"], 1, "nowhere.mp4"),
        (["--only", "scen"], 2, "'scene'"),
        (["--shard", "2/2"], 2, "shard 2/2 does not exist"),
        (["--shard", "one"], 2, "not of the form i/n"),
        (["--set", "clips.kind=even", "--set", "clips.frames=9"], 1, "4 frames"),
    ],
)
def test_errors_are_one_line_and_teach(vdprobe, arguments, extra, status, message):
    got, _, err = vdprobe("extract", *arguments, *extra)
    assert message in " ".join(err.replace("│", " ").split())
    assert got == status
    if "Usage:" not in err:
        assert any(line.startswith(("error: ", "failed: ")) for line in err.splitlines())


def test_a_missing_spec_file_or_model(vdprobe, tmp_path):
    assert "cannot read the spec" in vdprobe("extract", tmp_path / "none.yaml")[2]
    (tmp_path / "bad.yaml").write_text("a: [1,")
    assert "is not valid YAML at line" in vdprobe("extract", tmp_path / "bad.yaml")[2]
    status, _, err = vdprobe("extract", "--videos", "x")
    assert (status, "give --model" in err) == (2, True)


def test_some_failures_mean_exit_status_one(vdprobe, arguments, scene, tmp_path):
    (tmp_path / "texts.json").write_text(json.dumps({"scene": ["a disk", ""]}))
    status, _, err = vdprobe("extract", *arguments, "--expressions", tmp_path / "texts.json")
    assert status == 1
    assert "failed: scene/1" in err
    assert "2 items written" in err


def test_stores_that_cannot_be_used(vdprobe, arguments, tmp_path):
    vdprobe("extract", *arguments)
    (tmp_path / "store" / "store.json").write_text('{"format": "vdprobe feature store", "schema": 99}')
    for command in (("extract", *arguments), ("store", "ls", "--store", tmp_path / "store")):
        status, _, err = vdprobe(*command)
        assert status == 1
        assert "upgrade vdprobe" in err
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").write_text("years of work")
    status, _, err = vdprobe("extract", *arguments, "--store", tmp_path / "foreign")
    assert status == 1
    assert "foreign" in err


def test_layers(vdprobe):
    status, out, _ = vdprobe("layers", "random:modelscope")
    assert status == 0
    assert "5 x 640 x 32 x 56" in out
    rows = json.loads(vdprobe("layers", "random:tiny", "--json", "--all")[1])
    assert rows[-1]["tap"] == "unet.out"


def test_doctor(vdprobe):
    status, out, err = vdprobe("doctor")
    assert status == 0, err
    assert "torch" in out
    assert json.loads(vdprobe("doctor", "--json")[1])["problems"] == []


def test_help_imports_nothing_heavy_and_version_is_right():
    """Imports are what help takes its time for: 0.2 s, and 3 s more with torch."""
    code = (
        "import sys\nfrom vdprobe.cli.main import main\nsys.argv = ['vdprobe', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    print('imported:', *sorted(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    told, imported = out.split("imported:")
    assert "extract" in told
    heavy = {"torch", "diffusers", "transformers", "zarr", "h5py", "sklearn", "matplotlib", "pandas", "scipy", "av"}
    assert not heavy & set(imported.split())
    from importlib.metadata import version

    out = subprocess.run(
        [sys.executable, "-m", "vdprobe", "--version"], check=True, capture_output=True, text=True
    ).stdout
    assert out.strip() == version("vdprobe")


def test_import_is_light_and_the_public_names_are_there():
    code = "import sys, vdprobe; assert not {'torch', 'diffusers', 'zarr'} & set(sys.modules); dir(vdprobe)"
    subprocess.run([sys.executable, "-c", code], check=True)
    import vdprobe

    for name in vdprobe.__all__:
        assert getattr(vdprobe, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vdprobe.nothing


def test_interrupting_exits_130(arguments):
    code = "from vdprobe.cli import extract, main\nimport vdprobe.extraction.run as r\n"
    code += "def stop(*a, **k): raise KeyboardInterrupt\nr.extract = stop\nmain.main()"
    command = [sys.executable, "-c", code, "extract", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 130
    assert "run the same command again to go on" in done.stderr
