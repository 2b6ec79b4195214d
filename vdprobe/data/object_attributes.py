"""What a dataset tells of its objects beside their masks: the category, and whatever else it has a word for."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from vdprobe.data.text_files import read_json
from vdprobe.data.video import Video
from vdprobe.errors import DataError

META = "meta.json"


def object_attributes(video: Video) -> dict[str, dict[str, str]]:
    """The words for each object by its id, such as `{"1": {"category": "dog"}}`; none where the dataset has none.

    They stand in the `meta.json` beside the folder `Annotations`, as in YouTube-VOS. Raises `DataError` for a file
    that is not of that kind.
    """
    if not isinstance(video.annotations, Path):
        return {}
    file = video.annotations.parents[1] / META
    videos = _videos(file, file.stat().st_mtime_ns) if file.is_file() else {}
    try:
        return {
            str(id): {name: word for name, word in entry.items() if isinstance(word, str)}
            for id, entry in videos.get(video.id, {"objects": {}})["objects"].items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{file}: the entry of video {video.id!r} holds no objects; fetch the file again") from error


@lru_cache(maxsize=2)
def _videos(file: Path, changed: int) -> Mapping[str, Any]:
    """What a file holds that was last changed then."""
    value = read_json(file)
    videos = value.get("videos") if isinstance(value, Mapping) else None
    if not isinstance(videos, Mapping):
        raise DataError(f'{file} does not hold {{"videos": {{...}}}}; fetch the file again')
    return videos
