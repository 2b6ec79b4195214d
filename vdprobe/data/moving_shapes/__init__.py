"""MovingShapes: a made world of videos with exact masks and expressions that pick out one object.

A seed is a video: textured shapes that move, spin, cross, hide each other, come and go, over a
moving ground, under a changing light. No download, the same everywhere.
"""

from vdprobe.data.moving_shapes.video import ShapesVideo as ShapesVideo
from vdprobe.data.moving_shapes.video import make_video as make_video
