import numpy as np
import pytest
from diffusers import DDPMScheduler

from vdprobe.diffusion.architectures import ARCHITECTURES
from vdprobe.diffusion.schedule import Schedule
from vdprobe.errors import ConfigError, ModelError

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


def test_unknown_schedules_are_refused():
    with pytest.raises(ModelError, match="known: linear, scaled_linear"):
        Schedule.from_config({"beta_schedule": "squaredcos_cap_v2"})
    with pytest.raises(ModelError, match="zero terminal SNR"):
        Schedule.from_config(MODELSCOPE | {"rescale_betas_zero_snr": True})
    with pytest.raises(ConfigError, match="name at least one"):
        Schedule.from_config(MODELSCOPE).parse_all([])
