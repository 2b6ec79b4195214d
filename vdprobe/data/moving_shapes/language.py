"""Referring expressions that pick out one object beyond doubt, and captions of whole scenes.

What can be said of an object is a `Claim`: for each object of the scene it is clearly true, clearly
false, or unclear. An expression is a noun phrase with or without a claim; it is used only if it is
true of its object and clearly false of every other. The difficulties `relation`, `motion` and
`order` use noun phrases that fit several objects, so that the claim decides.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Int

from vdprobe.data.moving_shapes import facts
from vdprobe.data.moving_shapes.facts import FALSE, TRUE, UNCLEAR, seen_frames
from vdprobe.data.moving_shapes.render import Rendering
from vdprobe.data.moving_shapes.sample import Draws
from vdprobe.data.moving_shapes.scene import Scene, SceneObject

DIFFICULTIES = ("attribute", "relation", "motion", "order")

_MOTION = {
    "left": ("that moves to the left", "moving left", "going to the left"),
    "right": ("that moves to the right", "moving right", "going to the right"),
    "up": ("that moves up", "moving up", "going upwards"),
    "down": ("that moves down", "moving down", "going downwards"),
    "circling": ("that moves in a circle", "moving in a circle", "going around in a circle"),
    "still": ("that stays still", "that does not move", "standing still"),
}
_SPEED = {"fast": ("that moves fast", "moving quickly"), "slow": ("that moves slowly", "moving slowly")}
_SPIN = ("that spins", "spinning", "that rotates")
_ENTERS = ("that enters the frame", "that comes into view", "entering the picture")
_LEAVES = ("that leaves the frame", "that goes out of view", "leaving the picture")
_SIDES = {
    (0, -1): ("left of", "to the left of"),
    (0, 1): ("right of", "to the right of"),
    (1, -1): ("above", "higher than"),
    (1, 1): ("below", "lower than"),
}
_EXTREMES = {
    (0, -1): ("on the left", "furthest to the left"),
    (0, 1): ("on the right", "furthest to the right"),
    (1, -1): ("at the top", "closest to the top"),
    (1, 1): ("at the bottom", "closest to the bottom"),
}
_PASSES_BEHIND = ("that passes behind", "passing behind")
_PASSES_BEFORE = ("that passes in front of", "passing in front of")
_IS_HIDDEN = ("that gets partly hidden by", "that gets partly covered by")
_HIDES = ("that partly hides", "that partly covers")
UNSHAPED = 0.1
"""The share of texts that call an object by its colour alone, of those that could."""


@dataclass(frozen=True)
class Referral:
    """A text about one object of a scene; `difficulty` is what it takes to tell the object by it."""

    text: str
    object: int
    difficulty: str


@dataclass(frozen=True)
class NounPhrase:
    """Words, the kinds of attributes they name, and the objects they fit."""

    words: tuple[str, ...]
    kinds: frozenset[str]
    fits: frozenset[int]

    @property
    def text(self) -> str:
        """Without an article."""
        return " ".join(self.words)


@dataclass(frozen=True)
class Claim:
    """Something said of an object, in several phrasings, and of whom it is `TRUE`, `FALSE` or `UNCLEAR`.

    - `about`: the object that the phrasing itself names; the claim is not made of it.
    """

    difficulty: str
    phrasings: tuple[str, ...]
    truth: Int[np.ndarray, " O"]
    about: int | None = None


def referrals(scene: Scene, rendering: Rendering, draws: Draws) -> tuple[Referral, ...]:
    """At most one expression for each object and difficulty, each of them unambiguous.

    Objects that are hardly seen (in fewer than half of the frames) get none.
    """
    often = seen_frames(rendering).mean(axis=0) >= 0.5
    phrases = [noun_phrases(scene.objects, k) for k in range(len(scene.objects))]
    sides, hides = facts.lies(scene, rendering), facts.hides(rendering)
    claims = [
        *_motion_claims(scene),
        *_order_claims(rendering),
        *(
            claim
            for anchor in np.flatnonzero(often)
            for claim in _anchored_claims(scene, int(anchor), phrases[anchor], sides, hides, draws)
        ),
    ]
    out = []
    for k in map(int, np.flatnonzero(often)):
        several = [p for p in phrases[k] if len(p.fits) > 1]
        for difficulty in DIFFICULTIES:
            if difficulty == "attribute":
                text = _by_attribute(phrases[k], draws)
            else:
                options = list(_by_claims(k, several, [c for c in claims if c.difficulty == difficulty]))
                if difficulty == "relation":
                    options += _extremes(k, several, sides)
                text = _one_of(options, draws)
            if text is not None:
                out.append(Referral(_with_article(text, draws), k, difficulty))
    return tuple(out)


def caption(scene: Scene, draws: Draws, *, objects: Sequence[int] | None = None, motion: bool = True) -> str:
    """One sentence about a scene: what is there and, with `motion`, what it does.

    - `objects`: whom to name, by default everyone; the order is drawn.
    """
    named = draws.shuffled(list(range(len(scene.objects)) if objects is None else objects))
    parts = []
    for k in named:
        thing = scene.objects[k]
        words = [w for w in (_size_word(thing), _texture_word(thing), thing.colour, thing.shape) if w]
        part = f"{'an' if words[0][0] in 'aeiou' else 'a'} {' '.join(words)}"
        parts.append(f"{part} {_motion_words(thing, draws)}" if motion else part)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def noun_phrases(objects: Sequence[SceneObject], k: int) -> list[NounPhrase]:
    """All the noun phrases made of object k's attributes, the shortest first."""
    thing = objects[k]
    said = {"size": _size_word(thing), "texture": thing.texture, "colour": thing.colour, "shape": thing.shape}
    kinds = [kind for kind, word in said.items() if word]
    alike = {kind: {j for j, other in enumerate(objects) if getattr(other, kind) == said[kind]} for kind in kinds}
    out = []
    for count in range(len(kinds) + 1):
        for chosen in combinations(kinds, count):
            words = [str(said[kind]) for kind in chosen]
            words += [] if "shape" in chosen else ["object"]
            fits = frozenset(range(len(objects))).intersection(*(alike[kind] for kind in chosen))
            out.append(NounPhrase(tuple(words), frozenset(chosen), fits))
    return out


def _motion_words(thing: SceneObject, draws: Draws) -> str:
    if not facts.shows_spin(thing):
        return draws.pick(_MOTION[thing.motion])
    return "spinning in place" if thing.motion == "still" else f"{_MOTION[thing.motion][1]} and spinning"


def _size_word(thing: SceneObject) -> str | None:
    return None if thing.size == "medium" else thing.size


def _texture_word(thing: SceneObject) -> str | None:
    return None if thing.texture == "plain" else thing.texture


def _names(phrases: Sequence[NounPhrase]) -> list[NounPhrase]:
    """What a person would call the object, the shortest first: colour and shape always, the rest or not.

    That it is plain is said only where nothing else tells it from the others.
    """
    unique = [p for p in phrases if len(p.fits) == 1 and p.kinds >= {"colour", "shape"}]
    enough = {p.kinds for p in unique}
    return [p for p in unique if "plain" not in p.words or p.kinds - {"texture"} not in enough]


def _shortest(names: Sequence[NounPhrase], draws: Draws) -> NounPhrase:
    return draws.pick([p for p in names if len(p.words) == len(names[0].words)])


def _by_attribute(phrases: Sequence[NounPhrase], draws: Draws) -> str | None:
    names = _names(phrases)
    if not names:
        return None
    by_colour = [p for p in phrases if len(p.fits) == 1 and p.kinds == {"colour"}]
    if by_colour and draws.chance(UNSHAPED):
        return by_colour[0].text
    # From what is needed to all that can be said.
    return draws.pick([_shortest(names, draws), draws.pick(names), names[-1]]).text


def _by_claims(
    k: int, phrases: Sequence[NounPhrase], claims: Sequence[Claim]
) -> Iterator[tuple[NounPhrase, tuple[str, ...]]]:
    """Noun phrases with the wordings of a claim that is true of k and clearly false of all others they fit."""
    for claim in claims:
        if claim.truth[k] != TRUE:
            continue
        doubtful = {j for j, truth in enumerate(claim.truth) if truth != FALSE or j == claim.about} - {k}
        for phrase in phrases:
            if not doubtful & phrase.fits:
                yield phrase, claim.phrasings


def _extremes(
    k: int, phrases: Sequence[NounPhrase], sides: Mapping[tuple[int, int], Int[np.ndarray, "O O"]]
) -> Iterator[tuple[NounPhrase, tuple[str, ...]]]:
    """Noun phrases with "on the left" and its like, where k is the furthest of all they fit."""
    for side, words in _EXTREMES.items():
        nearer = {k, *(j for j, truth in enumerate(sides[side][k]) if truth == TRUE)}
        for phrase in phrases:
            if phrase.fits <= nearer:
                yield phrase, words


def _one_of(options: Sequence[tuple[NounPhrase, tuple[str, ...]]], draws: Draws) -> str | None:
    if not options:
        return None
    longest = max(len(p.fits) for p, _ in options) if draws.chance(0.5) else 0
    phrase, phrasings = draws.pick([o for o in options if len(o[0].fits) >= longest])
    return f"{phrase.text} {draws.pick(phrasings)}"


def _motion_claims(scene: Scene) -> Iterator[Claim]:
    yield from (Claim("motion", words, facts.goes(scene, motion)) for motion, words in _MOTION.items())
    yield from (Claim("motion", words, facts.has_speed(scene, speed)) for speed, words in _SPEED.items())
    yield Claim("motion", _SPIN, facts.spins(scene))


def _order_claims(rendering: Rendering) -> Iterator[Claim]:
    yield Claim("order", _ENTERS, facts.enters(rendering))
    yield Claim("order", _LEAVES, facts.leaves(rendering))


def _anchored_claims(
    scene: Scene,
    anchor: int,
    phrases: Sequence[NounPhrase],
    sides: Mapping[tuple[int, int], Int[np.ndarray, "O O"]],
    hides: Int[np.ndarray, "O O"],
    draws: Draws,
) -> Iterator[Claim]:
    """What can be said of others by naming `anchor`, if one of its `phrases` fits no other."""
    names = _names(phrases)
    if not names:
        return
    name = _shortest(names, draws).text
    # What stays where it is passes nothing.
    rests = np.array([thing.motion == "still" for thing in scene.objects])
    behind, before = hides[:, anchor], hides[anchor]
    for difficulty, words, truth in (
        *(("relation", words, sides[side][:, anchor]) for side, words in _SIDES.items()),
        ("order", _PASSES_BEHIND, np.where(rests & (behind == TRUE), UNCLEAR, behind)),
        ("order", _PASSES_BEFORE, np.where(rests & (before == TRUE), UNCLEAR, before)),
        ("order", _IS_HIDDEN, behind),
        ("order", _HIDES, before),
    ):
        yield Claim(difficulty, tuple(f"{w} the {name}" for w in words), truth, about=anchor)


def _with_article(text: str, draws: Draws) -> str:
    return text if draws.chance(0.2) else f"the {text}"
