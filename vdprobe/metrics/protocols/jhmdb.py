"""`jhmdb`: JHMDB-Sentences, scored as A2D-Sentences are."""

from dataclasses import replace

from vdprobe.metrics.protocols.a2d import PROTOCOL as A2D

PROTOCOL = replace(A2D, name="jhmdb")
