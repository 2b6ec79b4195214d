"""A number on the command line is read as strictly as one in a file."""

import inspect
from typing import get_args, get_type_hints

import pytest
import typer

from vdprobe.cli.main import app
from vdprobe.errors import ConfigError
from vdprobe.specs.load import build
from vdprobe.specs.video import ClipSampling

ODD = {
    "010": "write it without leading zeros",
    "1_0": "write digits alone",
    " 5": "write digits alone",
    "٣": "write digits alone",
    "0x10": "write digits alone",
    "9" * 30: "write a number of at most 18 digits",
}


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize(
    "command",
    [
        ("extract", "--seed"),
        ("sample", "a dog", "--frames"),
        ("layers", "random:tiny", "--height"),
        ("run", "study.yaml", "--workers"),
        ("datasets", "make", "there", "--val"),
        ("predict", "head", "--overlays"),
        ("train-adapter", "--steps"),
    ],
)
def test_what_may_be_read_otherwise_is_refused(vdprobe, command, text):
    status, _, err = vdprobe(*command, text)
    assert (status, err.count("\n")) == (2, 1)
    assert command[-1] in err
    assert f"is not a whole number: {ODD[text]}" in err


def test_bounds_and_fractions(vdprobe):
    status, _, err = vdprobe("datasets", "make", "there", "--side", 15)
    assert (status, "15 is not at least 16" in err) == (2, True)
    for text in ("nan", "inf", "1e999", "0_1", "half"):
        status, _, err = vdprobe("predict", "head", "--threshold", text)
        assert (status, f"{text!r} is not a finite number" in err) == (2, True)


def commands(group):
    for registered in group.registered_commands:
        yield registered.callback
    for registered in group.registered_groups:
        yield from commands(registered.typer_instance)


def test_no_option_is_read_by_typer_as_a_number():
    """Its own reading takes `010` for 10 and `1_0` too."""
    numbers = 0
    for command in commands(app):
        hints = get_type_hints(command, include_extras=True)
        for name in inspect.signature(command).parameters:
            kind, *about = get_args(hints[name]) or (hints[name],)
            if {int, float} & {kind, *get_args(kind)}:
                numbers += 1
                assert [info.parser is not None for info in about if isinstance(info, typer.models.OptionInfo)] == [
                    True
                ], f"{command.__name__} --{name}"
    assert numbers > 20


@pytest.mark.parametrize(("text", "remedy"), [("010", "write it without leading zeros"), ("1_0", "write digits alone")])
def test_a_file_says_the_same(text, remedy):
    with pytest.raises(ConfigError, match=rf"option 'frames' \(='{text}'\): .*; {remedy}, without quotes"):
        build(ClipSampling, {"frames": text})
