"""A value in YAML means what a person reads, or is refused in a line."""

import json
import math
import random
import re
from pathlib import Path

import pytest
import yaml

from vdprobe.cli.extract import parse_shard
from vdprobe.errors import ConfigError
from vdprobe.extraction.config import parse_config
from vdprobe.specs.load import build, merge, parse_assignments, read_yaml
from vdprobe.specs.numbers import finite_number, whole_number
from vdprobe.specs.yaml_text import LIMIT, parse_yaml, parse_yaml_value
from vdprobe.studies.study.config import StudyConfig

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").rglob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_read_to_the_values_they_had(path):
    ours, theirs = read_yaml(path), yaml.safe_load(path.read_text("utf-8"))
    assert json.dumps(ours) == json.dumps(theirs)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, text) for text in ("010", "0o10", "0x10", "1_000", "1:30", "yes", "No", "on", "off", "y", "nan")),
        *((text, text) for text in ("2020-01-01", "007", "+07", "-00", "b#c", "a=b", "½", "2²", "a$b$")),
        *((text, json.loads(text)) for text in ("7", "-7", "0.5", "1e5", "1.5E-3", "true", "false", "null")),
        *((f"'{text}'", text) for text in ("7", "true", "null", "~", "a #b", "")),
        (".5", 0.5),
        ("+1", 1),
        ("TRUE", True),
        ("{on: 1, 010: 2, null: 3}", {"on": 1, "010": 2, "null": 3}),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ("[a b, c]", ["a b", "c"]),
    ],
)
def test_values_are_what_is_read(text, value):
    for found in (parse_yaml(f"a: {text}", "x.yaml")["a"], parse_yaml_value(text, "--set a")):
        assert (found, type(found)) == (value, type(value))


BOTH = [
    ("~", "write null, or '~' in quotes"),
    ("None", "write null, or 'None' in quotes"),
    (".inf", "no finite number"),
    ("1e400", "too large or too small"),
    ("1e-400", "too large or too small"),
    ("9" * 5000, r"\(5,000 characters\) is beyond"),
    ("9223372036854775808", "is beyond"),
    ("!!int 7", "tag"),
    ("!!python/object:os.system x", "tag"),
    ("&a [x]", "anchor"),
    ("*a", "alias"),
    ("{<<: 1}", "its keys out"),
    ("{a: 1, a: 2}", "'a' stands twice"),
    ("{1: 1, '1': 2}", "'1' stands twice"),
    ("{a:1}", "'a:1' has no value"),
    ("{a}", "'a' has no value"),
    ("{[x]: 1}", "a key is text"),
    ('"\\ud83d"', "half of a surrogate pair"),
    ('"\\0"', r"control character U\+0000"),
    ('"\\U99999999"', "is not valid YAML"),
    ("videos #1", "comment|not all of it"),
    ("x\x85y", "several lines|not valid YAML"),
    ("@x", "cannot start any token"),
    ("[" * 100_000, "within each other"),
    ("{a: " * 50_000, "within each other"),
]


@pytest.mark.parametrize(("text", "said"), BOTH, ids=lambda text: text[:12])
def test_what_could_be_read_in_two_ways_is_refused_with_its_place(text, said):
    for parse in (lambda: parse_yaml(f"a: {text}", "x.yaml"), lambda: parse_yaml_value(text, "--set a")):
        with pytest.raises(ConfigError, match=said) as caught:
            parse()
        assert len(str(caught.value)) < 500
        assert re.match(r"x\.yaml|--set a", str(caught.value))


@pytest.mark.parametrize("text", ["", " ", "#b", "b #c", "'b' # c", "[b] #c", "--- b", "|", "|\n b", "a\nb", "\udcff"])
def test_an_option_is_a_value_whole(text):
    with pytest.raises(ConfigError, match="--set a"):
        parse_yaml_value(text, "--set a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: 1\nb: 2\na: 3\n", r"spec\.yaml, line 3, column 1: the key 'a' stands twice"),
        (b"a: [1\nb: 2", r"spec\.yaml is not valid YAML at line \d, column \d"),
        (b"a: \xff", r"spec\.yaml is not UTF-8 \(byte 3\)"),
        (b"a: \x00", r"spec\.yaml is not valid YAML"),
        (b"- a", "must hold a mapping of options, it holds a list"),
        (b"a" * (5 * LIMIT), "has more than"),
        (b"a: 1\n---\nb: 2\n", "line 2"),
        (b"a: x\n  y\n", "several lines"),
        (b"%YAML 9.9\n---\na: 1", "not valid YAML"),
    ],
)
def test_errors_of_files_name_the_place(tmp_path, text, said):
    path = tmp_path / "spec.yaml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_yaml(path)
    assert len(str(caught.value)) < 500


def test_a_file_of_aliases_is_refused_at_the_first(tmp_path):
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'x'}]" for n in range(12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="line 1, column 5: & begins an anchor"):
        read_yaml(path)


def test_comments_stand_apart_from_text(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text("# one\na: text  # two\nb: 5 #three\n#four\nc:\n  - x # five\n")
    assert read_yaml(path) == {"a": "text", "b": 5, "c": ["x"]}


@pytest.mark.parametrize("path", [".", "nowhere.yaml", "x" * 300, "file/below"])
def test_a_path_that_is_no_file_is_a_line(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(ConfigError, match="cannot read the spec"):
        read_yaml(Path(path))


BASE = {"model": {"pipeline": "pixels"}, "videos": {"path": "x"}}


@pytest.mark.parametrize(
    "asked",
    [
        *("seed=010", "seed=1.0", "seed=1e3", "seed=true", "seed='1'", "seed=1_0", "exact=1", "exact=yes"),
        *("exact='true'", "videos.path=7", "videos.path=true", "videos.path=null", "videos.only=[7]", "taps=unet.in"),
        *("timesteps=[true]", "lighting={strength: '1'}", "lighting={strength: true}"),
        *("resize.flip=on", "model.dtype=16", "videos=x", "batch_size=null", "model.compile=0"),
    ],
)
def test_a_value_of_another_kind_is_not_made_to_fit(asked):
    with pytest.raises(ConfigError, match=f"option '{asked.partition('=')[0]}"):
        parse_config(merge(BASE, parse_assignments([asked])))


def test_what_fits_is_taken_letter_for_letter():
    asked = ["videos.only=[007, '7']", "lighting={strength: 1}", "store.path=a=b#c", "seed=1", "seed=2"]
    config = parse_config(merge(BASE, parse_assignments(asked)))
    assert config.videos.only == ("007", "7")
    assert config.lighting.strength == 1.0
    assert config.store.path == "a=b#c"
    assert config.seed == 2  # of two on a command line the later wins


@pytest.mark.parametrize("path", ["a..b", ".a", "a.", "a ", " a", "a. b", ".".join("a" * 1000)])
def test_a_place_has_whole_names(path):
    with pytest.raises(ConfigError, match="not of the form"):
        parse_assignments([f"{path}=1"])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**30])
def test_numbers_that_no_option_can_hold_are_named(value):
    with pytest.raises(ConfigError, match=r"option 'values\.many\.x\.1' "):
        build(StudyConfig, {"title": "x", "steps": {"x": {"do": "x"}}, "values": {"many": {"x": [1, value]}}})


@pytest.mark.parametrize("place", ["videos.path", "model.pipeline", "model.adapter", "videos.masks"])
def test_an_empty_path_is_not_the_current_folder(place):
    with pytest.raises(ConfigError, match=f"option '{place}' is empty"):
        parse_config(merge(BASE, parse_assignments([f"{place}=''"])))


def test_long_values_are_not_printed_back():
    for asked in (f"seed={'x' * 10**5}", f"{'x' * 10**5}=1", f"seed=[{'1,' * 10**4}]", f"conditions=[{'y' * 10**5}]"):
        with pytest.raises(ConfigError) as caught:
            parse_config(merge(BASE, parse_assignments([asked])))
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("text", ["2²/4", "-1/2", "1/-2", "1", "", "/", "1_0/20", "01/2", "1/2/3", "nan/1", "1 /2"])
def test_shards_are_two_numbers(text):
    with pytest.raises(ConfigError, match="--shard"):
        parse_shard(text)


def test_numbers_in_text_are_as_people_write_them():
    assert parse_shard("1/10") == (1, 10)
    assert [whole_number(text) for text in ("0", "-3", "10", "010", "1_0", "²", "1.0", "", "9" * 5000)] == [
        *(0, -3, 10),
        *[None] * 6,
    ]
    assert [finite_number(text) for text in ("1", ".5", "-1e-3", "1e999", "nan", "inf", "1_0", "٣")] == [
        *(1.0, 0.5, -0.001),
        *[None] * 5,
    ]


PIECES = [
    *"abc019.-+_:#,[]{}&*!|>%@`?~'\"\\ \n\t=$/<",
    *(
        "00",
        "1e",
        "0x",
        "yes",
        "null",
        "true",
        ": ",
        "- ",
        " #",
        "<<",
        "---",
        "\u00e9",
        "\u2028",
        "\x00",
        "\udc80",
        "²",
    ),
]


@pytest.mark.parametrize("seed", range(4))
def test_any_text_is_a_value_that_a_person_agrees_with_or_a_line(seed):
    draw, errors = random.Random(seed), []
    for _ in range(1500):
        text = "".join(draw.choices(PIECES, k=draw.randint(1, 10)))
        try:
            parse_yaml(text, "x.yaml")
        except ConfigError as error:
            errors.append(str(error))
        try:
            value = parse_yaml_value(text, "--set a")
        except ConfigError as error:
            errors.append(str(error))
            continue
        _agrees(text.strip(), value)
    assert max(map(len, errors)) < 500


def _agrees(text, value):
    if isinstance(value, bool) or value is None:
        assert text.lower() == {True: "true", False: "false", None: "null"}[value]
    elif isinstance(value, int):
        assert re.fullmatch(r"[-+]?[0-9]+", text) and int(text, 10) == value
        assert str(abs(value)) == text.lstrip("-+")
    elif isinstance(value, float):
        assert re.fullmatch(r"[-+0-9.eE]+", text) and float(text) == value
    elif isinstance(value, str) and text[0] not in "'\"":
        assert value == text  # letter for letter
    elif isinstance(value, str):
        assert text[0] == text[-1]
    else:
        assert text[0] in "[{-?" or ":" in text  # a list or a mapping is seen to be one


def test_build_takes_a_fuzzed_value_for_what_it_is_or_refuses_it():
    draw = random.Random(7)
    for _ in range(300):
        text = "".join(draw.choices(PIECES, k=draw.randint(1, 6)))
        for place in ("seed", "videos.path", "exact", "lighting.strength", "timesteps", "clips"):
            try:
                config = parse_config(merge(BASE, parse_assignments([f"{place}={text}"])))
            except ConfigError:
                pass
            else:
                assert build(type(config), json.loads(json.dumps(_plain(config)))) == config


def _plain(config):
    from vdprobe.specs.canonical import to_plain

    return to_plain(config)
