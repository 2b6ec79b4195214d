import pytest
import yaml
from head_things import head_config

from vdprobe.errors import ConfigError, DataError
from vdprobe.specs.lighting import Lighting
from vdprobe.specs.video import ClipSampling, Resize
from vdprobe.training.head_config import read_head_config


@pytest.fixture
def change(shapes, tmp_path):
    return lambda **changes: head_config(shapes, tmp_path / "store", **changes)


@pytest.fixture
def written(shapes, tmp_path):
    """A file of a training, and beside it one of an extraction."""
    features = {"model": {"pipeline": "pixels"}, "videos": {"path": str(shapes), "split": "train"}}
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "extract.yaml").write_text(yaml.safe_dump(features))
    path = tmp_path / "train.yaml"
    path.write_text(yaml.safe_dump({"features": "specs/extract.yaml", "steps": 3}))
    return path


def test_defaults_are_those_of_the_official_code(written):
    config = read_head_config(written)
    assert (config.rate, config.neck_rate, config.weight_decay, config.clip_norm) == (5e-5, 5e-5, 5e-4, 0.1)
    assert (config.batch_size, config.frames, config.reverse, config.seed) == (2, 5, 0.3, 42)
    assert config.drops == (6 / 9, 8 / 9)
    assert (config.head.queries, config.head.encoder_layers, config.head.dropout) == (5, 4, 0.1)
    assert config.levels[1] == ("unet.in", "unet.up.2")


def test_features_are_a_file_beside_or_a_mapping(written, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    config = read_head_config(written, ["steps=5", "features.resize.short_side=64", "frames=null"])
    assert (config.steps, config.features.resize.short_side, config.frames) == (5, 64, None)
    assert config.features.model.pipeline == "pixels"
    written.write_text("features: nowhere.yaml\nsteps: 3")
    with pytest.raises(ConfigError, match=r"cannot read the spec .*nowhere\.yaml"):
        read_head_config(written)


def test_views_replace_parts_of_the_resizing(change):
    config = change(views=[{"flip": True}, {"short_side": 64, "flip": True}])
    lit = change(views=[{"lighting": {"strength": 0.5}}, {"lighting": {"strength": 0.5, "seed": 1}}])
    assert [view.lighting for view in lit.all_views] == [None, Lighting(strength=0.5), Lighting(strength=0.5, seed=1)]
    assert {view.resize for view in lit.all_views} == {config.features.resize}
    first, second, third = (view.resize for view in config.all_views)
    assert (first, second) == (Resize(short_side=32, long_side=None), Resize(short_side=32, long_side=None, flip=True))
    assert third == Resize(short_side=64, long_side=None, flip=True)
    assert all(view.videos == config.features.videos for view in config.all_views)


def test_validation_is_of_whole_videos_that_stand_upright(change):
    windows = change(val_split="val", features={"clips": {"frames": 7}, "resize": {"flip": True}}).validation
    assert windows.clips == ClipSampling(frames=7)
    assert not windows.resize.flip
    drawn = change(
        val_split="val",
        features={"clips": {"kind": "vdit", "frames": 3}, "videos": {"only": ["train-00000"]}},
    ).validation
    assert drawn.clips == ClipSampling()
    assert (drawn.videos.split, drawn.videos.only) == ("val", ())
    assert change().validation is None
    around = change(val_split="val", features={"clips": {"kind": "centred"}}).validation
    assert around.clips == ClipSampling(kind="centred", frames=5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rat": 1}, r"unknown option 'rat': did you mean 'rate'"),
        ({"head": {"quries": 1}}, r"unknown option 'head\.quries': did you mean 'queries'"),
        ({"views": [{"flip": True}, {"flop": True}]}, r"unknown option 'views\.1\.flop': did you mean 'flip'"),
        ({"features": {"videos": {"spilt": "x"}}}, r"unknown option 'features\.videos\.spilt'"),
        ({"views": [{}]}, "a view is the same as the features; give it flip: true"),
        ({"views": [{"lighting": {"strength": 0}}]}, "two views are of the same frames"),
        ({"views": [{"lighting": {"strenght": 1}}]}, r"unknown option 'views\.0\.lighting\.strenght': did you mean"),
        ({"text_case": "upper"}, "option 'text_case' .*: input should be 'lower' or 'raw'"),
        ({"views": [{"short_side": 32}]}, "two views are of the same frames, or one is of the same as the features"),
        ({"val_split": "train"}, r"val_split \(=train\) is what is trained on"),
        ({"steps": 0}, r"steps \(=0\) must be at least 1"),
        ({"frames": 0}, r"frames \(=0\) must be at least 1, or null"),
        ({"reverse": 1.5}, r"reverse \(=1\.5\) is a share"),
        ({"drops": [0.5, 2]}, r"drops \(=\(0\.5, 2\.0\)\) are shares of the steps"),
        ({"clip_norm": 0}, r"clip_norm \(=0\.0\) must be above 0"),
        ({"neck_rate": -1}, r"neck_rate \(=-1\.0\) must be at least 0"),
        ({"precision": "fp32"}, r"option 'precision' \(='fp32'\): input should be 'no', 'bf16' or 'fp16'"),
        ({"head": {"width": 40}}, r"width \(=40\) must be a multiple of 32"),
    ],
)
def test_mistakes_are_one_line_and_teach(change, changes, message):
    with pytest.raises(ConfigError, match=message) as caught:
        change(**changes)
    assert "\n" not in str(caught.value)


def test_splits_are_named_where_there_are_any(shapes, written, tmp_path):
    extract = tmp_path / "specs" / "extract.yaml"
    extract.write_text(yaml.safe_dump({"model": {"pipeline": "pixels"}, "videos": {"path": str(shapes)}}))
    with pytest.raises(ConfigError, match=r"which split to train on: give features\.videos\.split, such as train"):
        read_head_config(written)
    frames = shapes / "train" / "JPEGImages"
    assert read_head_config(written, [f"features.videos.path={frames}"]).val_split is None
    with pytest.raises(ConfigError, match="JPEGImages has no splits; set val_split to null"):
        read_head_config(written, [f"features.videos.path={frames}", "val_split=val"])
    with pytest.raises(DataError, match="there is no nowhere; give a dataset with masks"):
        read_head_config(written, ["features.videos.path=nowhere"])
