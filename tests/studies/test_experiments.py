"""The studies in `experiments/` say what they mean: every step's configuration is one that its command takes."""

from pathlib import Path

import pytest

from vdprobe.specs.load import build, merge, read_yaml
from vdprobe.studies.analysis.by_name import ANALYSES
from vdprobe.studies.analysis.config import AnalysisConfig
from vdprobe.studies.study.run import plan_study
from vdprobe.training.head_config import HeadTrainingConfig

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
STUDIES = sorted(EXPERIMENTS.glob("*.yaml"))
VALUES = sorted((EXPERIMENTS / "values").glob("*.yaml"))


@pytest.mark.parametrize("values", [None, *VALUES], ids=lambda path: path.stem if path else "bundled")
@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.stem)
def test_every_step_is_understood(study, values, tmp_path):
    given = merge(read_yaml(study), {"values": read_yaml(values)} if values else {})
    _, states = plan_study(given, tmp_path)
    assert states
    for state in states:
        config = dict(state.task.config)
        if state.task.do == "analyze":
            analysis = ANALYSES[config.pop("analysis")]
            found = build(analysis.config, config)
            if isinstance(found, AnalysisConfig):
                assert len(found.backbones()) == 1 + len(found.controls)
        elif state.task.do == "train-head":
            build(HeadTrainingConfig, config)
        else:
            assert state.task.do in ("moving-shapes", "predict", "evaluate", "collect")
