"""The command that makes what a store lacks says all that its configuration says."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.cli.options import PATHS, gather
from vdprobe.extraction.config import ExtractConfig, parse_config
from vdprobe.studies.analysis.lacking import extract_command

NAMES = {"--model": "model", "--videos": "videos", "--store": "store"}


def typed(command):
    """The configuration that `vdprobe extract` makes of its words."""
    words = shlex.split(command)
    assert words[:2] == ["vdprobe", "extract"]
    parameters = {"spec": None, "assignments": []}
    for option, value in zip(words[2::2], words[3::2], strict=True):
        if option == "--set":
            parameters["assignments"].append(value)
        else:
            parameters[NAMES[option]] = value
    return parse_config(gather(parameters, PATHS))


@given(
    path=st.text("ab c'\"$\\/é", min_size=1),
    taps=st.lists(st.sampled_from(["unet.in", "vae.down.2"]), min_size=1, unique=True) | st.none(),
    timesteps=st.lists(st.integers(0, 999) | st.just("sigma=0.5"), min_size=1, max_size=2),
    frames=st.integers(1, 50),
    side=st.integers(16, 512) | st.none(),
    seed=st.integers(0, 5),
    adapter=st.none() | st.just("random:0"),
    light=st.none() | st.floats(0.1, 1),
)
def test_typing_it_gives_the_same_configuration(path, taps, timesteps, frames, side, seed, adapter, light):
    config = parse_config(
        {
            "model": {"pipeline": "random:tiny", "adapter": adapter},
            "videos": {"path": path, "only": ["a", "b"]},
            "clips": {"frames": frames},
            "resize": {"short_side": side, "long_side": None},
            "lighting": None if light is None else {"kind": "brightness", "strength": light},
            "taps": taps,
            "timesteps": timesteps,
            "seed": seed,
            "store": {"path": path},
        }
    )
    assert typed(extract_command(config)) == config


@pytest.mark.parametrize("path", ["videos", "my videos"])
def test_defaults_are_left_out(path):
    config = ExtractConfig(**parse_config({"model": {"pipeline": "tiny-t2v"}, "videos": {"path": path}}).__dict__)
    assert extract_command(config) == f"vdprobe extract --model tiny-t2v --videos {shlex.quote(path)}"
