import diffusers
import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from vdprobe.errors import ConfigError, ModelError
from vdprobe.models.diffusion.process import EDM, TRAINING_STEPS, Discrete, Flow
from vdprobe.models.diffusion.read_process import read_process
from vdprobe.models.unet3d import architectures

MODELSCOPE = architectures.MODELSCOPE["scheduler"]


@pytest.mark.parametrize("kind", ["scaled_linear", "linear"])
def test_equals_diffusers(kind):
    theirs = DDPMScheduler(**{k: v for k, v in MODELSCOPE.items() if k[0] != "_"} | {"beta_schedule": kind})
    ours = read_process(MODELSCOPE | {"beta_schedule": kind})
    np.testing.assert_allclose(ours.alphas_cumprod, theirs.alphas_cumprod.double().numpy(), rtol=2e-5)


@pytest.mark.parametrize("zero", [False, True])
def test_the_cosine_schedule_equals_diffusers(zero):
    """I2VGen-XL's, with zero terminal SNR."""
    config = {"beta_schedule": "squaredcos_cap_v2", "rescale_betas_zero_snr": zero, "prediction_type": "v_prediction"}
    theirs = diffusers.DDIMScheduler(**config).alphas_cumprod.double().numpy()
    ours = read_process({"_class_name": "DDIMScheduler", **config}).alphas_cumprod
    np.testing.assert_allclose(ours, theirs, rtol=5e-5, atol=1e-9)
    assert (ours[-1] == 0) == zero


def test_timestep_zero_of_the_paper():
    schedule = read_process(MODELSCOPE)
    level = schedule.level(0)
    assert (round(level.signal, 5), round(level.amount, 5)) == (0.99957, 0.02915)


def test_three_units_name_one_level():
    schedule = read_process(MODELSCOPE)
    for t in (0, 1, 250, 999):
        level = schedule.level(t)
        assert schedule.parse(t) == schedule.parse(f"t={t}") == level
        assert schedule.parse(f"sigma={level.sigma}") == level
        assert schedule.parse(f"logsnr={level.logsnr}") == level
        assert level.logsnr == pytest.approx(-2 * np.log(level.sigma))


def test_levels_are_sorted_and_distinct():
    schedule = read_process(MODELSCOPE)
    assert [level.timestep for level in schedule.parse_all([500, "t=0", "500"])] == [0, 500]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1000", r"t=1000 is outside the schedule; valid: 0\.\.999"),
        ("-1", r"valid: 0\.\.999"),
        ("sigma=1000", r"'sigma=1000' is outside the schedule; valid sigma: 0\.029\d* \.\. 14\.\d+"),
        ("sigma=nan", "is not a number"),
        ("logsnr=90", "outside the schedule; valid logsnr"),
        ("snr=1", "unknown unit 'snr'; valid: t, s, sigma, logsnr"),
        ("noisy", "'noisy' is not a number; write 500, s=0.2, sigma=0.5, logsnr=2 or clean"),
        ("1.5", "is not a number"),
    ],
)
def test_errors_name_what_is_valid(text, message):
    with pytest.raises(ConfigError, match=message):
        read_process(MODELSCOPE).parse(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta_schedule": "sigmoid"}, "beta_schedule 'sigmoid'"),
        ({"beta_schedule": ["linear"]}, "beta_schedule"),
        ({"prediction_type": "sample"}, "prediction_type 'sample'"),
        ({"prediction_type": "flow_prediction"}, "use_flow_sigmas None and prediction_type 'flow_prediction'"),
        ({"prediction_type": None}, "prediction_type None"),
        ({"_class_name": "EDMEulerScheduler"}, "class 'EDMEulerScheduler'"),
        ({"_class_name": ["DDPMScheduler"]}, "class"),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "use_flow_sigmas": True},
            "the other not",
        ),
        ({"snr_shift_scale": 0}, "snr_shift_scale 0"),
        ({"shift_terminal": 0.1}, "shift_terminal"),
        ({"timestep_type": "continuous", "prediction_type": "v_prediction"}, "sigmas from None to None"),
        (
            {"timestep_type": "continuous", "prediction_type": "v_prediction", "sigma_min": 2, "sigma_max": 1},
            "must rise from above 0",
        ),
        ({"timestep_type": "continuous"}, "timestep_type 'continuous', prediction_type 'epsilon'"),
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
        read_process(MODELSCOPE | changes)
    assert "\n" not in str(caught.value)


def test_what_is_not_understood_is_told_with_what_is():
    with pytest.raises(
        ModelError,
        match=r"DDPMScheduler, .* linear or scaled_linear or .* epsilon or v_pred.*, flows .*, and EDM",
    ):
        read_process(MODELSCOPE | {"prediction_type": "x0"})


@pytest.mark.parametrize(
    "name", ["DDIMScheduler", "EulerDiscreteScheduler", "UniPCMultistepScheduler", "PNDMScheduler"]
)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_classes_of_one_process_give_one_schedule(name, prediction):
    ours = read_process(MODELSCOPE | {"_class_name": name, "prediction_type": prediction})
    theirs = getattr(diffusers, name)(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction
    )
    np.testing.assert_allclose(ours.alphas_cumprod, theirs.alphas_cumprod.double().numpy(), rtol=2e-5)


def test_trained_betas_are_the_schedule():
    theirs = DDPMScheduler(trained_betas=[0.1, 0.2, 0.3])
    ours = read_process(MODELSCOPE | {"trained_betas": [0.1, 0.2, 0.3]})
    np.testing.assert_allclose(ours.alphas_cumprod, theirs.alphas_cumprod.double().numpy(), rtol=2e-5)


def test_no_timestep_is_refused():
    with pytest.raises(ConfigError, match="name at least one"):
        read_process(MODELSCOPE).parse_all([])


COGVIDEOX = {
    "_class_name": "CogVideoXDDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
}
SVD = {
    "_class_name": "EulerDiscreteScheduler",
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "sigma_min": 0.002,
    "sigma_max": 700.0,
}


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_cogvideox_equals_diffusers(shift):
    ours = read_process(COGVIDEOX | {"snr_shift_scale": shift})
    options = {name: value for name, value in COGVIDEOX.items() if name[0] != "_"}
    theirs = diffusers.CogVideoXDDIMScheduler(**options, snr_shift_scale=shift).alphas_cumprod.double().numpy()
    assert isinstance(ours, Discrete)
    np.testing.assert_allclose(ours.alphas_cumprod, theirs, rtol=1e-4, atol=1e-9)
    noise = ours.level(999)
    assert (noise.signal, noise.amount, noise.logsnr, noise.s) == (0, 1, -np.inf, 1)
    assert noise.units == {"s": 1, "sigma": None, "logsnr": None}


def test_zero_terminal_snr_of_ddim_equals_diffusers():
    options = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    theirs = diffusers.DDIMScheduler(**options, rescale_betas_zero_snr=True).alphas_cumprod.double().numpy()
    ours = read_process(options | {"rescale_betas_zero_snr": True})
    np.testing.assert_allclose(ours.alphas_cumprod, theirs, rtol=1e-3, atol=1e-6)


FLOWS = [
    {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 7.0},
    {"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True, "prediction_type": "flow_prediction"},
]


@pytest.mark.parametrize("config", FLOWS)
def test_a_flow_goes_straight(config):
    flow = read_process(config)
    assert flow == Flow()
    level = flow.parse("t=250")
    assert (level.timestep, level.told, level.signal, level.amount) == (250, 250, 0.75, 0.25)
    assert level.sigma == pytest.approx(1 / 3)
    assert level.logsnr == pytest.approx(2 * np.log(3))
    assert flow.parse("s=0.5").logsnr == 0
    assert flow.parse("clean") == flow.parse("s=0") == flow.parse("0")
    assert flow.parse("s=1").signal == 0
    assert flow.parse(0.5).timestep == 0.5
    with pytest.raises(ConfigError, match=r"t=1001 is outside the schedule; valid: 0\.\.1000"):
        flow.parse("1001")


def test_a_flow_equals_diffusers_on_its_grid():
    theirs = diffusers.FlowMatchEulerDiscreteScheduler()
    ours = read_process({"_class_name": "FlowMatchEulerDiscreteScheduler"})
    latents, noise = np.float32(2.0), np.float32(5.0)
    for t in theirs.timesteps[[0, 250, 999]]:
        level = ours.parse(float(t))
        expected = theirs.scale_noise(torch.full((1,), float(latents)), t[None], torch.full((1,), float(noise)))
        assert level.signal * latents + level.amount * noise == pytest.approx(expected.item(), rel=1e-5)


def test_an_inverted_flow_is_told_how_much_signal_there_is():
    flow = read_process({"_class_name": "FlowMatchEulerDiscreteScheduler", "invert_sigmas": True})
    assert flow == Flow(inverted=True)
    assert (flow.parse("clean").told, flow.parse("s=1").told) == (1000, 0)
    assert flow.parse("s=0.25").told == 750
    assert flow.parse("t=750").s == 0.25


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers on numpy 2
def test_edm_of_svd():
    edm = read_process(SVD)
    assert edm == EDM(0.002, 700.0)
    level = edm.parse("sigma=2")
    assert level.told == pytest.approx(0.25 * np.log(2))
    assert (level.signal, level.amount) == (pytest.approx(5**-0.5), pytest.approx(2 * 5**-0.5))
    clean = edm.parse("clean")
    assert (clean.timestep, clean.signal, clean.amount, clean.told) == (0, 1, 0, pytest.approx(0.25 * np.log(0.002)))
    theirs = diffusers.EulerDiscreteScheduler(**{n: v for n, v in SVD.items() if n[0] != "_"}, use_karras_sigmas=True)
    theirs.set_timesteps(25)
    for sigma, told in zip(theirs.sigmas[[0, 12, 24]].tolist(), theirs.timesteps[[0, 12, 24]].tolist(), strict=True):
        assert edm.parse(f"sigma={min(max(sigma, 0.002), 700):.7f}").told == pytest.approx(told, abs=1e-5)
    for text, message in [
        ("500", "has no t but a sigma"),
        ("sigma=1000", r"valid sigma: 0\.002 \.\. 700"),
        ("logsnr=90", r"valid logsnr: -13.1 \.\. 12.43"),
        ("s=1", r"valid s: 0\.001996 \.\. 0\.9986"),
    ]:
        with pytest.raises(ConfigError, match=message):
            edm.parse(text)


PROCESSES = [MODELSCOPE, COGVIDEOX, FLOWS[0], FLOWS[0] | {"invert_sigmas": True}, SVD]


@pytest.mark.parametrize("config", PROCESSES)
@given(logsnr=st.floats(-5, 6))
def test_equal_logsnr_is_equal_noise_in_every_process(config, logsnr):
    process = read_process(config)
    level = process.parse(f"logsnr={logsnr:.12f}")
    if isinstance(process, Discrete):  # the nearest that the model was trained on
        known = [process.level(t).logsnr for t in range(len(process.alphas_cumprod))]
        assert abs(level.logsnr - logsnr) == pytest.approx(min(abs(one - logsnr) for one in known))
    else:
        assert level.logsnr == pytest.approx(logsnr, abs=1e-3)
    assert process.level(level.timestep) == level
    assert level.s == pytest.approx(level.sigma / (1 + level.sigma))


@pytest.mark.parametrize("config", PROCESSES)
def test_clean_is_the_limit_of_every_process(config):
    process = read_process(config)
    clean = process.parse("clean")
    assert (clean.signal, clean.amount, clean.s, clean.logsnr) == (1, 0, 0, np.inf)
    assert process.level(clean.timestep) == clean
    least = process.parse("s=0.03")
    assert abs(clean.told - least.told) <= 0.04 * TRAINING_STEPS
    assert "clean" in clean.label


@pytest.mark.parametrize("text", ["s=1.5", "s=-0.1", "sigma=-1", "logsnr=1e9", "logsnr=nan", "s=", "t=", "clear", "=1"])
@pytest.mark.parametrize("config", PROCESSES)
def test_no_level_is_an_error_in_every_process(config, text):
    with pytest.raises(ConfigError) as caught:
        read_process(config).parse(text)
    assert "\n" not in str(caught.value)
