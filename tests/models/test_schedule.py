import diffusers
import numpy as np
import pytest
from diffusers import DDPMScheduler

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.schedule import Schedule
from vdprobe.models.unet3d.architectures import ARCHITECTURES

MODELSCOPE = ARCHITECTURES["modelscope"]["scheduler"]


@pytest.mark.parametrize("kind", ["scaled_linear", "linear"])
def test_equals_diffusers(kind):
    theirs = DDPMScheduler(**{k: v for k, v in MODELSCOPE.items() if k[0] != "_"} | {"beta_schedule": kind})
    ours = Schedule.from_config(MODELSCOPE | {"beta_schedule": kind})
    np.testing.assert_allclose(ours.alphas_cumprod, theirs.alphas_cumprod.double().numpy(), rtol=2e-5)


def test_timestep_zero_of_the_paper():
    schedule = Schedule.from_config(MODELSCOPE)
    signal, amount = schedule.coefficients(0)
    assert (round(signal, 5), round(amount, 5)) == (0.99957, 0.02915)


def test_three_units_name_one_level():
    schedule = Schedule.from_config(MODELSCOPE)
    for t in (0, 1, 250, 999):
        level = schedule.level(t)
        assert schedule.parse(t) == schedule.parse(f"t={t}") == level
        assert schedule.parse(f"sigma={level.sigma}") == level
        assert schedule.parse(f"logsnr={level.logsnr}") == level
        assert level.logsnr == pytest.approx(-2 * np.log(level.sigma))


def test_levels_are_sorted_and_distinct():
    schedule = Schedule.from_config(MODELSCOPE)
    assert [level.t for level in schedule.parse_all([500, "t=0", "500"])] == [0, 500]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1000", r"t=1000 is outside the schedule; valid: 0\.\.999"),
        ("-1", r"valid: 0\.\.999"),
        ("sigma=1000", r"'sigma=1000' is outside the schedule; valid sigma: 0\.029\d* \.\. 14\.\d+"),
        ("sigma=nan", "is not a number"),
        ("logsnr=90", "outside the schedule; valid logsnr"),
        ("snr=1", "unknown unit 'snr'; valid: t, sigma, logsnr"),
        ("noisy", "'noisy' is not a number; write 500, sigma=0.5 or logsnr=-2"),
        ("1.5", "is not a number"),
    ],
)
def test_errors_name_what_is_valid(text, message):
    with pytest.raises(ConfigError, match=message):
        Schedule.from_config(MODELSCOPE).parse(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta_schedule": "squaredcos_cap_v2"}, "beta_schedule 'squaredcos_cap_v2'"),
        ({"beta_schedule": ["linear"]}, "beta_schedule"),
        ({"rescale_betas_zero_snr": True}, "zero terminal SNR"),
        ({"prediction_type": "sample"}, "prediction_type 'sample'"),
        ({"prediction_type": "flow_prediction"}, "prediction_type 'flow_prediction'"),
        ({"prediction_type": None}, "prediction_type None"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "class 'FlowMatchEulerDiscreteScheduler'"),
        ({"_class_name": "EDMEulerScheduler"}, "class 'EDMEulerScheduler'"),
        ({"_class_name": "CogVideoXDDIMScheduler"}, "class 'CogVideoXDDIMScheduler'"),
        ({"_class_name": ["DDPMScheduler"]}, "class"),
        ({"_class_name": "DPMSolverMultistepScheduler", "use_flow_sigmas": True}, "flows"),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_type": "continuous"}, "timestep_type 'continuous'"),
        ({"snr_shift_scale": 3.0}, "snr_shift_scale 3.0"),
        ({"num_train_timesteps": 10**9}, "from 1 to 100000"),
        ({"num_train_timesteps": "1000"}, "from 1 to 100000"),
        ({"num_train_timesteps": 0}, "from 1 to 100000"),
        ({"beta_end": 1.5}, "beta_end 1.5, which must be a number between 0 and 1"),
        ({"beta_start": float("nan")}, "beta_start nan"),
        ({"beta_start": "small"}, "beta_start 'small'"),
        ({"trained_betas": [0.1, 2.0]}, "trained_betas 2.0"),
        ({"trained_betas": 0.1}, "no list of 1 to"),
        ({"trained_betas": []}, "no list of 1 to"),
    ],
)
def test_another_process_is_refused(changes, message):
    with pytest.raises(ModelError, match=message) as caught:
        Schedule.from_config(MODELSCOPE | changes)
    assert "\n" not in str(caught.value)


def test_what_is_not_understood_is_told_with_what_is():
    with pytest.raises(
        ModelError, match=r"DDPMScheduler, .* linear or scaled_linear or trained_betas, .* epsilon or v_pred"
    ):
        Schedule.from_config(MODELSCOPE | {"prediction_type": "x0"})


@pytest.mark.parametrize(
    "name", ["DDIMScheduler", "EulerDiscreteScheduler", "UniPCMultistepScheduler", "PNDMScheduler"]
)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_classes_of_one_process_give_one_schedule(name, prediction):
    ours = Schedule.from_config(MODELSCOPE | {"_class_name": name, "prediction_type": prediction})
    theirs = getattr(diffusers, name)(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction
    )
    np.testing.assert_allclose(ours.alphas_cumprod, theirs.alphas_cumprod.double().numpy(), rtol=2e-5)


def test_trained_betas_are_the_schedule():
    theirs = DDPMScheduler(trained_betas=[0.1, 0.2, 0.3])
    ours = Schedule.from_config(MODELSCOPE | {"trained_betas": [0.1, 0.2, 0.3]})
    np.testing.assert_allclose(ours.alphas_cumprod, theirs.alphas_cumprod.double().numpy(), rtol=2e-5)


def test_no_timestep_is_refused():
    with pytest.raises(ConfigError, match="name at least one"):
        Schedule.from_config(MODELSCOPE).parse_all([])
