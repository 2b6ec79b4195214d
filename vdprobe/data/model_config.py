"""The configuration of a model's part: a JSON file that says how large a network is to be made.

Its sizes are held against limits before anything is made by them. Nothing here imports torch.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vdprobe.data.text_files import read_json
from vdprobe.errors import DataError, ModelError

MOST_LAYERS = 256
"""The deepest published models have about half as many."""
MOST_LAYERS_OF_A_BLOCK = 32
MOST_BLOCKS = 64
MOST_WIDTH = 2**24
"""Of any other whole number that sizes a network."""
MOST_SIDE = 4096
"""Of the pictures that a network takes."""
LONGEST_TEXT = "model_max_length"
"""In tokens; some files have a number with thirty digits for none."""
LAYERS = re.compile(r"(num|n|encoder|decoder)_(\w+_)?(layers?|blocks?|stages?|experts)|n_layers?|depths?|num_layers\w*")
LAYERS_OF_A_BLOCK = re.compile(r"(\w+_)?layers?_per_\w+")
SIDE = re.compile("height|width|shortest_edge|crop_size|image_size")
NOT_A_SIZE = re.compile(r"model_max_length|\w*seed\w*|\w*(_id|_ids|2id|2label|tokens?)|\w*(flops|parameters)|_\w+")


def read_model_config(path: Path) -> dict[str, Any]:
    """The mapping in a configuration file.

    Raises `ModelError` for a file that is no JSON mapping, and for a network of absurd size.
    """
    try:
        value = read_json(path)
    except DataError as error:
        raise ModelError(f"{error}; is the download complete?") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no mapping of settings but a {type(value).__name__}; is the download complete?")
    check_sizes(value, path)
    if not isinstance(value.get(LONGEST_TEXT, 1), int | float):
        raise ModelError(f"{path}: {LONGEST_TEXT} is {str(value[LONGEST_TEXT])[:60]}, it must be a number of tokens")
    return value


def check_sizes(config: Mapping[str, Any], path: Path) -> None:
    """Raises `ModelError` where a network of these sizes could not be meant."""
    for key, value in _settings(config):
        if NOT_A_SIZE.fullmatch(key):
            continue
        if isinstance(value, list) and len(value) > MOST_BLOCKS and _of_blocks(key):
            raise ModelError(f"{path}: {key} has {len(value)} entries, more than the {MOST_BLOCKS} that are read")
        limit = _limit(key)
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int) and abs(number) > limit:
                told = str(number) if abs(number) < 10**18 else "a huge number"
                raise ModelError(f"{path}: {key} is {told}, over the limit of {limit}; is the file what it should be?")


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every key with its value, also those of the configurations inside (`vision_config`)."""
    waiting: list[Mapping[str, Any]] = [config]
    while waiting:
        for key, value in waiting.pop().items():
            if isinstance(value, Mapping) and not NOT_A_SIZE.fullmatch(key):
                waiting.append(value)
            yield key, value


def _of_blocks(key: str) -> bool:
    return any(word in key for word in ("block", "layer", "depth", "stage", "channels", "sizes", "widths"))


def _limit(key: str) -> int:
    if LAYERS_OF_A_BLOCK.fullmatch(key):
        return MOST_LAYERS_OF_A_BLOCK
    if SIDE.fullmatch(key):
        return MOST_SIDE
    return MOST_LAYERS if LAYERS.fullmatch(key) else MOST_WIDTH


def check_factor(config: Mapping[str, Any], key: str, path: Path) -> None:
    """Raises `ModelError` where a factor is there and is no number above 0."""
    value = config.get(key, 1)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ModelError(f"{path}: {key} is {str(value)[:60]}, it must be a number above 0")


def check_whole_number(config: Mapping[str, Any], key: str, path: Path) -> None:
    """Raises `ModelError` where a size is missing, or no whole number above 0."""
    if not _is_size(config.get(key)):
        raise ModelError(f"{path}: {key} is {str(config.get(key))[:60]}, it must be a whole number above 0")


def check_whole_numbers(config: Mapping[str, Any], key: str, path: Path) -> None:
    """Raises `ModelError` where a list of sizes is missing, or is no list of whole numbers above 0."""
    value = config.get(key)
    if not isinstance(value, list) or not value or not all(map(_is_size, value)):
        raise ModelError(f"{path}: {key} is {str(value)[:60]}, it must be a list of whole numbers above 0")


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
