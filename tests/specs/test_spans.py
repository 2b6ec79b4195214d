import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.errors import FeatureError
from vdprobe.specs.spans import (
    FrameSource,
    are_spans,
    check_spans,
    frame_sources,
    frame_spans,
    group_spans,
    is_frame_by_frame,
)

RULES = ("nearest", "linear", "ends")
FRAMES = st.integers(1, 60)
GROUPS = st.sampled_from([1, 2, 4, 6, 8])


def widths_to_spans(widths):
    ends = [sum(widths[: i + 1]) for i in range(len(widths))]
    return tuple(zip([0, *ends], ends, strict=False))


ANY = st.lists(st.integers(1, 9), min_size=1, max_size=9).map(widths_to_spans)


def test_known_groups():
    assert group_spans(9, 4) == ((0, 1), (1, 5), (5, 9))
    assert group_spans(8, 4) == ((0, 1), (1, 5), (5, 8))
    assert group_spans(17, 8) == ((0, 1), (1, 9), (9, 17))
    assert group_spans(1, 4) == ((0, 1),)


@given(frames=FRAMES, group=GROUPS)
def test_groups_are_as_many_as_latent_frames(frames, group):
    spans = group_spans(frames, group)
    assert len(spans) == 1 + -(-(frames - 1) // group)
    check_spans(spans, frames, "a")
    assert all(end - start == group for start, end in spans[1:-1])


@given(frames=FRAMES, rule=st.sampled_from(RULES))
def test_frame_by_frame_every_rule_is_the_identity(frames, rule):
    assert frame_sources(frame_spans(frames), rule) == tuple(FrameSource(f, f, f, 0.0) for f in range(frames))
    assert frame_spans(frames) == group_spans(frames, 1)
    assert is_frame_by_frame(frame_spans(frames))


def test_known_sources():
    spans = group_spans(8, 4)  # anchors 0, 4, 7
    near = [source.first for source in frame_sources(spans, "nearest")]
    assert near == [0, 1, 1, 1, 1, 2, 2, 2]
    linear = [(source.first, source.second, source.share) for source in frame_sources(spans, "linear")]
    third = pytest.approx(1 / 3), pytest.approx(2 / 3)
    assert linear[:5] == [(0, 0, 0.0), (0, 1, 0.25), (0, 1, 0.5), (0, 1, 0.75), (1, 1, 0.0)]
    assert linear[5:] == [(1, 2, third[0]), (1, 2, third[1]), (2, 2, 0.0)]
    assert [(source.frame, source.first) for source in frame_sources(spans, "ends")] == [(0, 0), (4, 1), (7, 2)]


@given(spans=ANY)
def test_nearest_is_the_map_whose_span_holds_the_frame(spans):
    sources = frame_sources(spans, "nearest")
    assert [source.frame for source in sources] == list(range(spans[-1][1]))
    assert all(spans[s.first][0] <= s.frame < spans[s.first][1] and s.second == s.first for s in sources)


@given(spans=ANY)
def test_linear_gives_back_what_is_linear_in_the_anchors(spans):
    anchors = [end - 1 for _, end in spans]
    sources = frame_sources(spans, "linear")
    assert [source.frame for source in sources] == list(range(spans[-1][1]))
    for source in sources:
        assert 0 <= source.share < 1
        there = (1 - source.share) * anchors[source.first] + source.share * anchors[source.second]
        assert there == pytest.approx(max(source.frame, anchors[0]))


@given(spans=ANY)
def test_ends_are_where_linear_and_nearest_agree_with_the_map(spans):
    ends = frame_sources(spans, "ends")
    assert [source.first for source in ends] == list(range(len(spans)))
    linear, nearest = frame_sources(spans, "linear"), frame_sources(spans, "nearest")
    assert all(linear[source.frame] == source == nearest[source.frame] for source in ends)


@given(spans=ANY)
def test_frame_by_frame_means_spans_of_one(spans):
    assert is_frame_by_frame(spans) == all(end - start == 1 for start, end in spans)


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        ((0, 1), (2, 3)),
        ((0, 2), (1, 3)),
        ((1, 3),),
        ((0, 0), (0, 3)),
        ((0, 3), (3, 2)),
        ((0, 3, 3),),
        ((0, 3.0),),
        ((False, 3),),
        "03",
        ((0, 2),),
    ],
)
def test_what_is_no_spans_of_three_frames(wrong):
    assert not are_spans(wrong) or wrong[-1][1] != 3
    with pytest.raises(FeatureError, match=r"tap 'a': spans .* over the 3 frames of the clip"):
        check_spans(wrong, 3, "a")
