"""Where the cells of a feature map lie on the frames of a video."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """A feature map without its padding, laid over a video's frame.

    - `stride`: pixels of the resized frame a cell's side. `height`, `width`: of the resized frame.
    - `flip`: whether the model saw the frame mirrored.

    The last row and column may reach beyond the frame, into the padding.
    """

    rows: int
    columns: int
    stride: int
    height: int
    width: int
    flip: bool = False

    @property
    def extent(self) -> tuple[float, float]:
        """How far the map reaches, (down, across), as shares of the frame's height and width: 1 or a little more."""
        return self.rows * self.stride / self.height, self.columns * self.stride / self.width

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """The (row, column) that shows a point, given as shares of the video's width and height in [0, 1]."""
        across = 1 - x if self.flip else x
        row, column = int(y * self.height / self.stride), int(across * self.width / self.stride)
        return min(max(row, 0), self.rows - 1), min(max(column, 0), self.columns - 1)

    def centre(self, row: int, column: int) -> tuple[float, float]:
        """The (x, y) of a cell's middle, as shares of the video's width and height."""
        across = (column + 0.5) * self.stride / self.width
        return 1 - across if self.flip else across, (row + 0.5) * self.stride / self.height
