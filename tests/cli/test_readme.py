"""The README cannot drift: its commands exist, its spec parses, its code runs."""

import re
from pathlib import Path

import yaml

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_commands_and_options_exist(vdprobe, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    lines = [line.split("#")[0] for block in blocks("") for line in block.splitlines() if line.startswith("vdprobe ")]
    assert len(lines) > 3
    for line in lines:
        words = line.split()[1:]
        command = words[:2] if words[0] in ("store", "datasets", "analyze") else words[:1]
        status, out, _ = vdprobe(*command, "--help")
        assert status == 0, line
        for option in re.findall(r"--[a-z-]+", line):
            assert option in out, f"{option} of: {line}"


def test_the_spec_is_valid():
    from vdprobe.extraction.config import parse_config

    (text,) = blocks("yaml")
    config = parse_config(yaml.safe_load(text))
    assert len(config.conditions) * len(config.noises) == 16


def test_the_code_runs(vdprobe, arguments, tmp_path, monkeypatch):
    status, _, err = vdprobe("extract", *arguments, "--tap", "unet.up.1")
    assert status == 0, err
    (tmp_path / "store").rename(tmp_path / "features")
    monkeypatch.chdir(tmp_path)
    read, plain = blocks("python")
    found = {}
    key = next(p.parts[1] for p in Path("features").rglob("unet.up.1"))
    exec(read.replace("3323f1cf", key), found)
    assert found["x"].ndim == 4
    group = next(Path("features", key).glob("*/*.zarr"))
    exec(re.sub(r'"features/[^"]*\.zarr"', repr(str(group)), plain), found)
    assert found["group"]["unet.up.1"].ndim == 5
