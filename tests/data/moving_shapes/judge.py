"""Which objects a text may mean, judged from its words, where the objects are, and the pixels.

Shares nothing with the code that writes the texts: other measures, and looser bars, so that an
object that might be meant by a reader counts.
"""

import re
from dataclasses import replace

import numpy as np

from vdprobe.data.moving_shapes.render import boxes, render

NOUN = re.compile(
    r"(?:(?P<size>small|large) )?(?:(?P<texture>plain|striped|dotted|checked) )?"
    r"(?:(?P<colour>red|orange|yellow|green|cyan|blue|purple|pink) )?"
    r"(?P<shape>object|circle|square|triangle|star|cross|ring)\b ?"
)
DIRECTIONS = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}
MOTIONS = {
    "that moves to the left": "left",
    "moving left": "left",
    "going to the left": "left",
    "that moves to the right": "right",
    "moving right": "right",
    "going to the right": "right",
    "that moves up": "up",
    "moving up": "up",
    "going upwards": "up",
    "that moves down": "down",
    "moving down": "down",
    "going downwards": "down",
    "that moves in a circle": "circle",
    "moving in a circle": "circle",
    "going around in a circle": "circle",
    "that stays still": "still",
    "that does not move": "still",
    "standing still": "still",
    "that moves fast": "fast",
    "moving quickly": "fast",
    "that moves slowly": "slow",
    "moving slowly": "slow",
    "that spins": "spin",
    "spinning": "spin",
    "that rotates": "spin",
}
ORDERS = {
    "that enters the frame": "enter",
    "that comes into view": "enter",
    "entering the picture": "enter",
    "that leaves the frame": "leave",
    "that goes out of view": "leave",
    "leaving the picture": "leave",
}
EXTREMES = {
    "on the left": "left",
    "furthest to the left": "left",
    "on the right": "right",
    "furthest to the right": "right",
    "at the top": "up",
    "closest to the top": "up",
    "at the bottom": "down",
    "closest to the bottom": "down",
}
SIDES = {
    "left of": "left",
    "to the left of": "left",
    "right of": "right",
    "to the right of": "right",
    "above": "up",
    "higher than": "up",
    "below": "down",
    "lower than": "down",
}
COVERS = {
    "that passes behind": ("behind", True),
    "passing behind": ("behind", True),
    "that gets partly hidden by": ("behind", False),
    "that gets partly covered by": ("behind", False),
    "that passes in front of": ("before", True),
    "passing in front of": ("before", True),
    "that partly hides": ("before", False),
    "that partly covers": ("before", False),
}
PHRASINGS = (*MOTIONS, *ORDERS, *EXTREMES, *SIDES, *COVERS)


def parse(text):
    """(words of the noun phrase, claim, words of the anchor's noun phrase or None)."""
    bare = text.removeprefix("the ")
    noun = NOUN.match(bare)
    assert noun, text
    claim, _, anchor = bare[noun.end() :].partition(" the ")
    if claim + " the " + anchor in EXTREMES or claim + " the " + anchor in MOTIONS:
        claim, anchor = claim + " the " + anchor, ""
    elif claim.startswith(("to", "that moves to")) or claim in ("closest to", "furthest to", "on", "at"):
        # "to the left of the ...": the claim itself holds a "the"
        side, _, anchor = anchor.partition(" the ")
        claim = f"{claim} the {side}"
    elif claim in ("that enters", "that leaves", "entering", "leaving"):
        claim, anchor = f"{claim} the {anchor}", ""
    assert claim == "" or claim in PHRASINGS, text
    about = NOUN.fullmatch(anchor) if anchor else None
    assert bool(about) == (claim in SIDES or claim in COVERS), text
    return noun.groupdict(), claim, about.groupdict() if about else None


def fitting(video, words):
    """The objects that a noun phrase fits."""
    wanted = {kind: word for kind, word in words.items() if word and word != "object"}
    return {
        k for k, o in enumerate(video.scene.objects) if all(getattr(o, kind) == word for kind, word in wanted.items())
    }


def may_mean(video, text):
    """The objects that somebody might take the text for."""
    words, claim, about = parse(text)
    several = fitting(video, words)
    if not claim:
        return several
    if claim in EXTREMES:
        return {j for j in several if all(_further(video, j, k, EXTREMES[claim]) for k in several - {j})}
    if about is None:
        judge = _MOVES if claim in MOTIONS else _COMES
        return {j for j in several if judge[(MOTIONS | ORDERS)[claim]](video, j)}
    (anchor,) = fitting(video, about)
    if claim in SIDES:
        return {j for j in several if j == anchor or _further(video, j, anchor, SIDES[claim])}
    how, moves = COVERS[claim]
    return {
        j
        for j in several
        if (_covered(video, j, anchor) if how == "behind" else _covered(video, anchor, j))
        and (not moves or _reach(video, j) > 0.1 or _turns(video, j))
    }


def _way(video, k):
    return video.scene.centres()[k]


def _net(video, k):
    way = _way(video, k)
    return way[-1] - way[0]


def _reach(video, k):
    """The largest distance from where it starts, ground and camera taken together."""
    thing = video.scene.objects[k]
    way = thing.path.centres(np.linspace(0, 1, video.scene.frames))
    return np.linalg.norm(way - way[0], axis=1).max()


def _turns(video, k):
    """Whether its way turns round: by the sum of the angles between steps, more than two thirds of a circle."""
    steps = np.diff(_way(video, k), axis=0)
    angles = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    return np.linalg.norm(steps, axis=1).min() > 0 and abs(angles[-1] - angles[0]) > 4 * np.pi / 3


def _heads(direction):
    axis, sign = DIRECTIONS[direction]

    def judge(video, k):
        net = _net(video, k)
        return not _turns(video, k) and net[axis] * sign > 0.05 and abs(net[axis]) > abs(net[1 - axis]) / 2

    return judge


def _rests(video, k):
    way = _way(video, k)
    return np.linalg.norm(way - way[0], axis=1).max() < 0.08


def _fast(video, k):
    return _turns(video, k) or np.linalg.norm(_net(video, k)) > 0.3


def _slow(video, k):
    return _turns(video, k) or 0.05 < np.linalg.norm(_net(video, k)) < 0.3


def _spins(video, k):
    return video.scene.objects[k].turns != 0


_MOVES = {
    **{direction: _heads(direction) for direction in DIRECTIONS},
    "circle": _turns,
    "still": _rests,
    "fast": _fast,
    "slow": _slow,
    "spin": _spins,
}


_looks = {}


def _look(video):
    """Boxes in sides of the frame, and pixels, of what is seen of each object, (F, O, 4) and (F, O)."""
    labels, count = video.rendering.labels, len(video.scene.objects)
    if video.id not in _looks:
        pixels = np.stack([(labels == k + 1).sum(axis=(1, 2)) for k in range(count)], axis=1)
        _looks[video.id] = boxes(labels, count) / labels.shape[1], pixels
    return _looks[video.id]


def _shown(video, k):
    return _look(video)[1][:, k]


_COMES = {
    "enter": lambda video, k: _shown(video, k)[0] < _shown(video, k).max() / 4,
    "leave": lambda video, k: _shown(video, k)[-1] < _shown(video, k).max() / 4,
}


def _further(video, j, k, direction):
    """By the middles of the boxes around what is seen, on average; yes where they are never seen together."""
    axis, sign = DIRECTIONS[direction]
    box = _look(video)[0][:, [j, k]]
    together = (_shown(video, j) >= 40) & (_shown(video, k) >= 40)
    if not together.any():
        return True
    middle = (box[together][..., axis] + box[together][..., axis + 2]) / 2
    return ((middle[:, 0] - middle[:, 1]) * sign).mean() > 0.02


def _covered(video, j, by):
    """Whether taking one object away shows more of the other, by a twentieth of what is ever seen of it."""
    if j == by:
        return False
    scene = video.scene
    without = render(replace(scene, objects=tuple(o for k, o in enumerate(scene.objects) if k != by)))
    more = (without.labels == j + 1 - (by < j)).sum(axis=(1, 2))
    return (more - _shown(video, j)).max() > 0.05 * more.max()
