import pytest
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.errors import ConfigError, StoreError
from vdprobe.look.features import FeatureReader, clip_id
from vdprobe.look.view import MODES, View, parse_view
from vdprobe.look.viewer import open_viewer
from vdprobe.specs.features import Condition, ModelIdentity, Noise
from vdprobe.store.store import FeatureStore

shares = st.integers(0, 10_000).map(lambda n: n / 10_000)


@given(
    st.builds(
        View,
        spec=st.text(max_size=8),
        video=st.text(max_size=20),
        text=st.none() | st.text(min_size=1, max_size=20),
        t=st.none() | st.integers(0, 999),
        mode=st.sampled_from(MODES),
        centred=st.booleans(),
        outlines=st.booleans(),
        frame=st.integers(0, 99),
        opacity=shares,
    )
)
def test_an_address_is_a_view(view):
    assert parse_view(view.address) == view
    assert parse_view(f"http://127.0.0.1:1/?token=x#{view.address}") == view


def test_a_click_is_in_the_address():
    view = View(spec="ab", f=3, x=0.25, y=1.0, mode="similarity")
    assert view.address == "spec=ab&mode=similarity&f=3&x=0.25&y=1"
    assert parse_view(view.address) == view


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("mode=magic", "did you mean|valid: frames, colours"),
        ("f=1&x=0.5", "give f, x and y"),
        ("f=1&x=0.5&y=2", "is a share"),
        ("f=1&x=nan&y=0", "is a share"),
        ("t=soon", "is a number"),
        ("fit=yes", "is 0 or 1"),
        ("sepc=1", "did you mean 'spec'"),
        ("frame=-1", "count from 0"),
        ("nonsense", "is no link to a view"),
        ("theme=pink", "valid: light, dark"),
    ],
)
def test_an_address_that_the_page_never_writes_is_told(address, told):
    with pytest.raises(ConfigError, match=told):
        parse_view(address)


def test_clips_have_names_of_their_own():
    assert clip_id([4, 5, 6]) == "4-6"
    assert clip_id([0, 2, 4]) != clip_id([0, 1, 3, 4]) != clip_id([0, 3, 4])
    assert clip_id([0, 2, 4]).startswith("0-4.")


def test_specs_that_would_share_a_name_say_what_differs(looked_at, tmp_path):
    seeds = [looked_at.make_spec(noise=Noise(kind="gaussian", seed=seed)) for seed in (3, 4)]
    weights = [
        looked_at.make_spec(
            condition=Condition(kind="vd-t", form="raw"), model=ModelIdentity(name="m", parts={"unet": part * 64})
        )
        for part in "ab"
    ]
    store = FeatureStore.create(tmp_path / "s", durable=False)
    for spec in (*seeds, *weights):
        store.write_spec(spec, {})
    labels = [spec.label for spec in FeatureReader(tmp_path / "s").specs()]
    assert len(set(labels)) == 4
    assert "some/model · vd-i/gaussian · seed 3" in labels


def test_what_is_committed_meanwhile_is_seen(looked_at, tmp_path):
    looked_at.write_videos(tmp_path)
    store = FeatureStore.create(tmp_path / "store", durable=False)
    spec = looked_at.make_spec()
    store.write_spec(spec, {})
    viewer = open_viewer(tmp_path / "store")
    assert viewer.first_view() == View()
    looked_at.write(store, spec, tmp_path, looked_at.VIDEOS[0])
    view = viewer.first_view()
    assert view.video == looked_at.VIDEOS[0]
    assert len(viewer.reader.clips(viewer.reader.specs()[0])) == 1
    name = looked_at.VIDEOS[1].replace("/", "_")
    with pytest.raises(ConfigError, match="there is no video"):
        viewer.column(view.spec, name, view.clip, None, view.tap, view.t)
    looked_at.write(store, spec, tmp_path, looked_at.VIDEOS[1])
    assert viewer.column(view.spec, name, view.clip, None, view.tap, view.t).clip.video == name
    other = looked_at.make_spec(timesteps=(9, 10))
    looked_at.write(store, other, tmp_path, looked_at.VIDEOS[0])
    assert len(viewer.reader.specs()) == 2


def test_what_the_store_does_not_have_is_told_with_what_it_has(viewer):
    view = viewer.first_view()
    for changes, told in (
        ({"spec": "ffff"}, "is no spec of the store .* valid: "),
        ({"spec": ""}, "is no spec"),
        ({"tap": "unet.up.7"}, "did you mean 'unet.up"),
        ({"t": 51}, "has no timestep 51; valid: 50, 261"),
        ({"video": "a baer"}, "did you mean 'a bear'"),
        ({"clip": "0-9"}, "has no clip '0-9'.*0-4"),
    ):
        with pytest.raises(ConfigError, match=told):
            viewer.columns(View(**{**view.__dict__, **changes}))


def test_an_empty_store_and_none_at_all_are_told(tmp_path):
    FeatureStore.create(tmp_path / "empty")
    with pytest.raises(StoreError, match=r"is empty; `vdprobe extract"):
        open_viewer(tmp_path / "empty")
    with pytest.raises(StoreError, match="no feature store at"):
        open_viewer(tmp_path / "none")


def test_damaged_features_are_told_and_never_shown(looked_at, tmp_path):
    looked_at.make_store(tmp_path)
    viewer = open_viewer(tmp_path / "store")
    column = viewer.columns(viewer.first_view())[0]
    path = column.clip.source.path / column.tap / "c/0/0/0/0/0"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged"):
        viewer.colours(column)


def test_frames_of_another_video_are_not_shown_beside_features(looked_at, tmp_path):
    from vdprobe.errors import DataError

    looked_at.make_store(tmp_path)
    next((tmp_path / "videos" / looked_at.VIDEOS[0]).glob("*2.png")).write_bytes(
        next((tmp_path / "videos" / looked_at.VIDEOS[0]).glob("*0.png")).read_bytes()
    )
    viewer = open_viewer(tmp_path / "store")
    column = viewer.columns(viewer.first_view())[0]
    with pytest.raises(DataError, match="other frames than those"):
        viewer.videos.frame(column.clip, 0)
    assert viewer.colours(column)[0].shape[0] == looked_at.FRAMES


def test_videos_that_moved_are_found_where_it_is_said(looked_at, tmp_path):
    from vdprobe.errors import DataError

    looked_at.make_store(tmp_path)
    (tmp_path / "videos").rename(tmp_path / "moved")
    lost = open_viewer(tmp_path / "store")
    clip = lost.columns(lost.first_view())[0].clip
    with pytest.raises(DataError, match=r"is not in .*videos; give its folder as --videos"):
        lost.videos.frame(clip, 0)
    found = open_viewer(tmp_path / "store", [str(tmp_path / "moved")])
    assert found.videos.frame(clip, 0).width == looked_at.WIDTH
    with pytest.raises(DataError, match="there is no"):
        open_viewer(tmp_path / "store", [str(tmp_path / "nowhere")])
