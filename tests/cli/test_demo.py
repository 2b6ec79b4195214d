"""The wheel, as a stranger has it: installed into an environment of its own, it runs the demo."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]


def run(*command: object, **options) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fresh_environment(folder: Path, wheel: Path) -> Path:
    """The `bin` of an environment with the wheel; what it depends on is read from where the tests run."""
    venv.create(folder)
    (site,) = folder.glob("lib/python*/site-packages")
    # A path in a .pth file is searched, and .pth files in it are not read: an editable vdprobe there stays unseen.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    run(sys.executable, "-m", "pip", f"--python={folder}", "install", "--quiet", "--no-deps", "--no-index", wheel)
    return folder / "bin"


def test_an_installed_wheel_runs_the_demo(tmp_path):
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"),
        *("--wheel-dir", tmp_path, ROOT),
    )
    (wheel,) = tmp_path.glob("vdprobe-*.whl")
    assert wheel.stat().st_size < 42_000_000
    programs = fresh_environment(tmp_path / "fresh", wheel)
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    where = run(programs / "python", "-c", "import vdprobe; print(vdprobe.__file__)", cwd=tmp_path, env=plain)
    assert str(tmp_path / "fresh") in where

    out = run(programs / "vdprobe", "demo", "--out", "demo", cwd=tmp_path, env=plain)
    assert "What to try next" in out
    report = tmp_path / "demo" / "report.html"
    assert out.rstrip().endswith("demo/report.html") and "Do features follow objects?" in report.read_text("utf-8")
    for name in ("layers", "conditions", "similarity"):
        with Image.open(tmp_path / "demo" / f"{name}.png") as picture:
            assert min(picture.size) > 400
        assert (tmp_path / "demo" / f"{name}.pdf").stat().st_size > 10_000
    scores = {name: float(value) for name, value in re.findall(r"^(.*[^ ]) +(0\.\d+)$", out, re.MULTILINE)}
    assert len(scores) == 3
    assert scores["tiny-t2v, unet.down_blocks.0.temp_attentions.0"] == max(scores.values())

    again = run(programs / "vdprobe", "demo", "--out", "demo", cwd=tmp_path, env=plain)
    assert re.search(r"(\d+) items \(\1 were there\)", again)
