"""Errors that a user's options, files and machine can cause are one line; a bug stays a traceback."""

import errno
import os
import subprocess
import sys

import pytest

from vdprobe.cli import main as cli
from vdprobe.errors import one_line

LONG = "x" * 100_000
PLACES = [
    "nowhere",
    ".",
    "file",
    "file/below",
    "x" * 300,
    LONG,
    "a\nb",
    "bad.yaml",
    "bomb.yaml",
    "closed",
    "closed/below",
]
COMMANDS = {
    "extract": "extract {}",
    "extract videos": "extract --model pixels --store st --videos {}",
    "extract texts": "extract --model pixels --store st --videos clips --expressions {}",
    "extract model": "extract --videos clips --store st --model {}",
    "extract store": "extract --model pixels --videos clips --store {}",
    "extract adapter": "extract --model random:tiny --condition vd-it --videos clips --store st --adapter {}",
    "plan": "plan --no-probe {}",
    "train-adapter": "train-adapter {}",
    "train-adapter videos": "train-adapter --model random:tiny --steps 1 --videos {}",
    "train-head": "train-head {}",
    "predict": "predict {}",
    "predict config": "predict {} --config {}",
    "run": "run {}",
    "run values": "run study.yaml --values {}",
    "sample": "sample a --prompts-from {} --model nowhere",
    "evaluate": "evaluate {} --protocol ytvos --dataset clips",
    "evaluate dataset": "evaluate clips --protocol ytvos --dataset {}",
    "submit": "submit {} --benchmark mevis --out x.zip",
    "submit check": "submit --benchmark mevis --check {}",
    "analyze": "analyze consistency {}",
    "analyze videos": "analyze consistency --model pixels --store st --videos {}",
    "figures": "figures {}",
    "import-official": "import-official {} --out o",
    "datasets check": "datasets check {}",
    "store ls": "store ls --store {}",
    "store verify": "store verify --store {}",
    "layers": "layers {}",
}


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "clips").mkdir()
    (tmp_path / "file").write_bytes(b"\x00\xff no video")
    (tmp_path / "bad.yaml").write_text("a: [1\nb: {")
    (tmp_path / "bomb.yaml").write_text("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n")
    (tmp_path / "study.yaml").write_text("title: x\nsteps: {x: {do: collect}}\n")
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0)
    yield tmp_path
    (tmp_path / "closed").chmod(0o700)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_places_that_cannot_be_used_are_a_line(vdprobe, places, command):
    for place in PLACES:
        asked = [part.format(place) for part in command.split()]
        status, _, err = vdprobe(*asked)
        assert status in (1, 2), (place[:20], err)
        told = [line for line in err.splitlines() if line.startswith(("error: ", "failed: "))]
        assert told or "cannot use" in err, (place[:20], err)
        assert max(map(len, told), default=0) < 5000, place[:20]


@pytest.mark.parametrize(
    "asked",
    [
        ["extract", ""],
        ["extract", "--store", ""],
        ["extract", "--store="],
        ["store", "ls", "--store", ""],
        ["sample", "a", "--out", ""],
        ["extract", "\udcff"],
        ["extract", "--set", "videos.path=\udc80"],
        ["extract", "--set", "a=[1"],
        ["extract", "--set", "a="],
        ["extract", "--set", LONG],
        ["extract", "--shard", "2²/4", "--model", "pixels", "--videos", "x"],
        ["extract", "--seed", "x"],
        ["extract", "--seed", "9" * 5000, "--model", "pixels", "--videos", "x"],
        ["extract", "--seed", "-1", "--model", "pixels", "--videos", "x"],
        ["extract", "--batch-size", "-1", "--model", "pixels", "--videos", "x"],
        ["extract", "--nothing"],
        ["extract", "--seed"],
        ["nothing"],
        ["extract", "--only", ",", "--model", "pixels", "--videos", "clips"],
        ["extract", "--tap", "a,,b", "--model", "pixels", "--videos", "clips"],
        ["evaluate", "clips", "--only", " ", "--protocol", "ytvos", "--dataset", "clips"],
        ["sample", "a", "--guidance", "nan"],
        ["sample", "a", "--guidance", "inf"],
        ["sample", "a", "--steps", "-3"],
        ["evaluate", "x", "--protocol", "ytvos", "--dataset", "y", "--workers", "0"],
        ["train-adapter", "--timestep", "sigma=nan", "--model", "random:tiny", "--videos", "x"],
        ["layers", "random:tiny:2²"],
        ["layers", "tiny-t2v", "--height", "-1"],
    ],
    ids=lambda asked: " ".join(asked)[:30].encode("unicode_escape").decode(),
)
def test_options_that_cannot_be_taken_are_one_line(vdprobe, places, asked):
    status, out, err = vdprobe(*asked)
    assert status in (1, 2)
    assert not out
    assert err.startswith("error: ") and err.count("\n") == 1 and len(err) < 5000


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device; free space"),
        (PermissionError(errno.EACCES, "Permission denied", "x/y"), 1, "refuses x/y: Permission denied; change its"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a\nb"), 1, "a\\nb: Not a directory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RecursionError("maximum recursion depth"), 1, "nested too deeply"),
        (MemoryError("8 GiB"), 1, "memory is full (8 GiB)"),
        (UnicodeEncodeError("utf-8", "a\udc80", 1, 2, "surrogates not allowed"), 1, "half of a character"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_machine_refuses_is_a_line(vdprobe, monkeypatch, error, status, said):
    def fail(**_):
        raise error

    monkeypatch.setattr(cli, "app", fail)
    got, _, err = vdprobe("doctor")
    assert got == status
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("x"), OSError("odd"), UnicodeEncodeError("ascii", "é", 0, 1, "")]
)
def test_a_bug_is_a_traceback(vdprobe, monkeypatch, error):
    def fail(**_):
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(type(error)):
        vdprobe("doctor")


def _start(arguments, **environment):
    command = [sys.executable, "-m", "vdprobe", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment})


def test_a_terminal_of_few_letters_gets_the_others_written_out(tmp_path):
    with _start(["doctor"], PYTHONIOENCODING="latin-1", HF_HOME=str(tmp_path / "中文")) as program:
        out, err = program.communicate()
    assert b"Traceback" not in err and b"\\u4e2d\\u6587" in out


def test_a_reader_that_is_gone_is_no_traceback():
    with _start(["layers", "random:tiny", "--all"]) as program:
        program.stdout.close()
        err = program.stderr.read()
        program.wait()
    assert b"Traceback" not in err and b"Exception ignored" not in err


def test_a_message_is_one_line():
    assert one_line("a\nb\t\x1b[31m\u2028é") == "a\\nb\\t\\x1b[31m\\u2028é"
    assert one_line("x" * 10**6).endswith("(1,000,000 characters)")
    assert len(one_line("\n" * 10**6)) < 10_000


def test_an_interruption_at_any_moment_says_so(vdprobe, monkeypatch):
    """typer makes a bare status of it."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("vdprobe.store.store.FeatureStore.open", interrupted)
    status, out, err = vdprobe("store", "ls")
    assert (status, out, err) == (130, "", "error: interrupted: run the same command again to go on\n")
