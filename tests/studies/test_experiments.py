"""The studies in `experiments/` say what they mean: every step's configuration is one that its command takes."""

from pathlib import Path

import pytest

from vdprobe.metrics.protocols.by_name import find_protocol
from vdprobe.specs.load import build, merge, read_yaml
from vdprobe.studies.analysis.by_name import ANALYSES
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.predict.config import parse_predict_config
from vdprobe.studies.predict.head_folder import OFFICIAL, HeadFolder
from vdprobe.studies.study.collect import CollectConfig
from vdprobe.studies.study.compare import CompareConfig
from vdprobe.studies.study.levels import LevelsConfig
from vdprobe.studies.study.run import plan_study
from vdprobe.studies.study.steps import EvaluateStep, MovingShapesStep, PredictStep, SubmitStep
from vdprobe.studies.submit import LAYOUTS
from vdprobe.training.head_config import HeadTrainingConfig

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
STUDIES = sorted(EXPERIMENTS.glob("*.yaml"))
VALUES = sorted((EXPERIMENTS / "values").glob("*.yaml"))
STEPS = {
    "moving-shapes": MovingShapesStep,
    "train-head": HeadTrainingConfig,
    "predict": PredictStep,
    "submit": SubmitStep,
    "evaluate": EvaluateStep,
    "collect": CollectConfig,
    "compare": CompareConfig,
    "levels": LevelsConfig,
}
HEAD = HeadFolder(Path("head"), "", {"features": {**OFFICIAL, "model": {"pipeline": "tiny-t2v"}}}, {}, ())
"""What a head says of its features, where a study leaves it to it."""


@pytest.mark.parametrize("values", [None, *VALUES], ids=lambda path: path.stem if path else "bundled")
@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_every_step_is_understood(study, values, tmp_path):
    given = merge(read_yaml(study), {"values": read_yaml(values)} if values else {})
    _, states = plan_study(given, tmp_path)
    assert states
    assert len({state.task.folder for state in states}) == len(states)
    for state in states:
        config = dict(state.task.config)
        if state.task.do == "analyze":
            analysis = ANALYSES[config.pop("analysis")]
            found = build(analysis.config, config)
            if isinstance(found, AnalysisConfig):
                assert len(found.backbones()) == 1 + len(found.controls)
            continue
        step = build(STEPS[state.task.do], config)
        if isinstance(step, PredictStep):
            parse_predict_config(step.config, HEAD)
        elif isinstance(step, EvaluateStep):
            find_protocol(step.protocol)
        elif isinstance(step, SubmitStep):
            assert step.benchmark in LAYOUTS
