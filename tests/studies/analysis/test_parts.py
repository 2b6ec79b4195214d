"""Tables of work that is done: written as they come, whole or not at all."""

import pandas as pd
import pytest

from vdprobe.data.video import Failure
from vdprobe.studies.analysis.parts import read_part, write_part
from vdprobe.studies.analysis.table_files import csv_text, read_table
from vdprobe.studies.analysis.tables import write_values


def test_a_part_is_its_tables_one_below_the_other(tmp_path):
    tables = [pd.DataFrame({"video": ["a, b", "c"], "value": [1.5, None]}), pd.DataFrame(), pd.DataFrame()]
    tables.append(pd.DataFrame({"video": ["d"], "value": [0.1]}))
    lacks = [[], [Failure("e", "has no mask")], [], [Failure("f", "has none either")]]
    part = write_part(tmp_path, "p", zip(map(csv_text, tables), lacks, strict=True))
    assert part == read_part(tmp_path, "p") == (tmp_path / "p.csv", [Failure("e", "has no mask"), lacks[3][0]])
    assert (tmp_path / "p.csv").read_text() == 'video,value\n"a, b",1.5\nc,\nd,0.1\n'
    empty, _ = write_part(tmp_path, "none", [("", [])])
    assert read_table(empty).empty


def test_a_part_that_was_stopped_is_none(tmp_path):
    def made():
        yield "video,value\na,1\n", []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_part(tmp_path, "p", made())
    assert read_part(tmp_path, "p") is None
    (tmp_path / "p.csv").write_text("video,value\n")
    assert read_part(tmp_path, "p") is None  # its failures were not written


@pytest.mark.parametrize("damage", ["a value", "the end", "not JSON", "a list", "nested", "bytes"])
def test_a_damaged_part_is_made_again(tmp_path, damage):
    write_part(tmp_path, "p", [("video,value\na,1.25\n", [Failure("b", "has no mask")])])
    table, about = tmp_path / "p.csv", tmp_path / "p.json"
    if damage == "a value":
        table.write_text(table.read_text().replace("1.25", "1.75"))
    elif damage == "the end":
        table.write_bytes(table.read_bytes()[:-3])
    else:
        wrong = {"not JSON": b'{"checksum"', "a list": b"[1]", "nested": b"[" * 100_000, "bytes": b"\xff"}
        about.write_bytes(wrong[damage])
    assert read_part(tmp_path, "p") is None


def test_values_are_those_of_files_and_tables(tmp_path):
    table = pd.DataFrame({"video": ["a"], "value": [1.0]})
    parts = [write_part(tmp_path, name, [(csv_text(table), [])])[0] for name in ("one", "two")]
    empty = write_part(tmp_path, "empty", [("", [])])[0]
    write_values([pd.DataFrame(), empty, parts[0], table, pd.DataFrame(), parts[1]], tmp_path)
    assert (tmp_path / "values.csv").read_text() == "video,value\n" + 3 * "a,1.0\n"
    write_values([pd.DataFrame(), empty], tmp_path)
    assert read_table(tmp_path / "values.csv").empty
