"""The analyses by the names of their commands."""

from vdprobe.studies.analysis.analysis import Analysis
from vdprobe.studies.analysis.clusters import CLUSTERING
from vdprobe.studies.analysis.consistency import CONSISTENCY
from vdprobe.studies.analysis.layer_statistics import LAYERS
from vdprobe.studies.analysis.lighting import LIGHTING
from vdprobe.studies.analysis.probe import PROBE
from vdprobe.studies.analysis.propagation import PROPAGATION
from vdprobe.studies.analysis.roi_similarity import ROI_SIMILARITY
from vdprobe.studies.analysis.stability import STABILITY

ANALYSES: dict[str, Analysis] = {
    analysis.name: analysis
    for analysis in (CONSISTENCY, ROI_SIMILARITY, PROPAGATION, CLUSTERING, PROBE, LAYERS, LIGHTING, STABILITY)
}
