"""How much of what differs between the places of a clip the text makes: the same frames under several texts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from vdprobe.errors import DataError


@dataclass(frozen=True, eq=False)
class TextSums:
    """Sums over the texts of one clip, at the same places; 8 n C bytes.

    - `total`: of the features, less their mean over the places of each text: what a text adds to all places alike
      tells no two of them apart.
    - `squares`: of the squares of those.
    """

    texts: int
    total: Float64[np.ndarray, "n C"]
    squares: float

    def merge(self, other: "TextSums") -> "TextSums":
        """Those of the texts of both."""
        return TextSums(self.texts + other.texts, self.total + other.total, self.squares + other.squares)

    def share(self) -> float:
        """Variance over texts, in the variance over places.

        0 where a text changes nothing, or all places alike; 1 on average where places have nothing in common under
        two texts. The variance over texts is unbiased: how many there are makes it no larger. Raises `DataError` for
        one text, and for features that are the same at all places.
        """
        if self.texts < 2:
            raise DataError("what a text changes takes two texts of a clip, and there is one; give it more expressions")
        if not self.squares > 0:
            raise DataError("features are the same at all places; check the layer, or give more places")
        over_texts = (self.squares - float((self.total**2).sum()) / self.texts) / (self.texts - 1)
        return max(over_texts, 0.0) / (self.squares / self.texts)  # rounding makes it a little less than nothing


def sum_text(features: Float64[np.ndarray, "n C"]) -> TextSums:
    """Of a clip's features under one text."""
    centred = features - features.mean(axis=0)
    return TextSums(1, centred, float((centred**2).sum()))
