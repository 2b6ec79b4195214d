import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.data.video import check_id, normalise_text
from vdprobe.errors import DataError


@pytest.mark.parametrize("id", ["dog", "-9oPmVkYf5w", "clip 01 (final)", "v1.2", "собака", "...", "x" * 200])
def test_good_ids_come_back(id):
    assert check_id(id, "here") is id


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("", "here: an id is empty"),
        ("..", "tries to leave its folder"),
        (".", "tries to leave its folder"),
        ("../evil", r"here: the id '\.\./evil' tries to leave its folder"),
        ("/etc/passwd", "tries to leave its folder"),
        ("a\\b", "tries to leave its folder"),
        ("a\0b", r"'a\\x00b' holds control characters"),
        ("a\nb", r"'a\\nb' holds control characters"),
        ("a\udcffb", "not UTF-8"),
        ("x" * 201, "is 201 bytes long"),
        ("ж" * 101, "is 202 bytes long"),
    ],
)
def test_bad_ids_are_refused_in_one_line(id, message):
    with pytest.raises(DataError, match=message) as caught:
        check_id(id, "here")
    assert "\n" not in str(caught.value)


@given(st.text())
def test_an_id_that_passes_is_one_folder_name(tmp_path_factory, id):
    try:
        check_id(id, "here")
    except DataError:
        return
    root = tmp_path_factory.getbasetemp()
    assert (root / id).resolve().parent == root.resolve()


def test_normalise_text():
    assert normalise_text("  A  Brown\tdog ") == "a brown dog"
