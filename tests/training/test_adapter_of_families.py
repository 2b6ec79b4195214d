import pytest

from vdprobe.errors import ModelError
from vdprobe.models.diffusion.adapter import load_adapter
from vdprobe.training.adapter_training import train_adapter


def test_animatediff_has_tokens_for_each_frame(configure, tmp_path):
    model = {"pipeline": "random:tiny-animatediff", "device": "cpu"}
    trained = train_adapter(configure(model=model, condition="vd-it", noise="predicted"), tmp_path / "out")
    adapter = load_adapter(trained.adapter)
    assert set(adapter.fingerprints()) == {"image_projection", "text_image_attention", "noise_predictor"}


@pytest.mark.parametrize(
    ("name", "denoiser"),
    [("random:tiny-svd", "UNetSpatioTemporalConditionModel"), ("random:tiny-i2vgen-xl", "I2VGenXLUNet")],
)
def test_models_of_a_given_image_have_no_place_for_one(configure, tmp_path, name, denoiser):
    config = configure(model={"pipeline": name, "device": "cpu"}, condition="vd-i")
    with pytest.raises(ModelError, match=f"train-adapter.* knows models with .* is a {denoiser}: extract"):
        train_adapter(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()
