"""What the scenes of the demo dataset hold: a place, its sky or wall, a hero, counted things.

`world.json` has the facts: what each place, sky and wall looks like, what may stand there, in which
colours, and what else people call it. A scene is drawn at random from one `numpy.random.Generator`
and is all that the drawing and the asking see.
"""

import json
from dataclasses import dataclass
from importlib import resources

from numpy.random import Generator

WORLD = json.loads((resources.files(__package__) / "world.json").read_text(encoding="utf-8"))
PLACES: dict[str, dict] = WORLD["places"]
SKIES: dict[str, dict] = WORLD["skies"]
WALLS: dict[str, str] = WORLD["walls"]
PLURALS: dict[str, str] = WORLD["plurals"]  # of the kinds that are counted
PAINTS: dict[str, list[str]] = WORLD["paints"]  # of a kind, or of any other hero or counted thing

HERO_KINDS = sorted({hero for place in PLACES.values() for hero in place["heroes"]})
VEHICLES = ("car", "bus", "truck", "boat")
ANIMALS = ("dog", "cat", "horse", "cow", "sheep", "elephant")
PEOPLE = ("man", "woman")
FLYING = ("balloon", "bird")  # spread over the sky, where there is one
USUAL_SKIES = {name: sky["share"] for name, sky in SKIES.items() if "share" in sky}

MOST = 20
# As in the real data: one, two and three lead, and a thin tail reaches twenty.
COUNT_WEIGHTS = (270, 230, 150, 95, 60, 45, 30, 24, 16, 18, 9, 14, 6, 6, 9, 4, 3, 3, 2, 6)


@dataclass(frozen=True)
class Scene:
    """One picture in words; `sky` is empty indoors, `wall` is empty outdoors."""

    place: str
    sky: str
    wall: str
    hero: str
    hero_color: str
    side: str  # "left" or "right": where the hero stands
    sport: str  # what a man or woman does; empty for every other hero
    item: str  # the counted kind, singular
    item_color: str
    count: int  # 1 to MOST

    @property
    def indoors(self) -> bool:
        return PLACES[self.place]["indoors"]

    @property
    def items(self) -> str:
        """The counted kind, plural."""
        return PLURALS[self.item]


def pick(rng: Generator, choices, weights=None):
    """One of `choices`, in proportion to `weights` (equal when not given)."""
    choices = tuple(choices)
    if weights is None:
        return choices[rng.integers(len(choices))]
    total = sum(weights)
    return choices[rng.choice(len(choices), p=[weight / total for weight in weights])]


def lookalikes(hero: str, sport: str, sky: str) -> set[str]:
    """Kinds that the rest of the scene shows too, and that would have to be counted."""
    shown = {
        "person": hero in PEOPLE,
        "flower": hero == "vase",
        "ball": sport in ("volleyball", "soccer", "tennis"),
        "star": sky == "night",
    }
    return {kind for kind, there in shown.items() if there}


def sample_scene(rng: Generator) -> Scene:
    """A random scene whose parts go together; six in ten are outdoors."""
    place = pick(rng, PLACES)
    sky = wall = sport = ""
    if PLACES[place]["indoors"]:
        wall = pick(rng, WALLS)
    else:
        sky = pick(rng, USUAL_SKIES, USUAL_SKIES.values())
        if place == "mountains" and sky == "rainy":
            sky = "snowy"
    hero = pick(rng, PLACES[place]["heroes"])
    if hero in PEOPLE:
        sport = pick(rng, PLACES[place]["sports"])
    besides = lookalikes(hero, sport, sky)
    item = pick(rng, [kind for kind in PLACES[place]["items"] if kind not in besides])
    hero_color = pick(rng, PAINTS.get(hero, PAINTS["hero"]))
    side = pick(rng, ("left", "right"))
    item_color = pick(rng, PAINTS.get(item, PAINTS["item"]))
    count = int(pick(rng, range(1, MOST + 1), COUNT_WEIGHTS))
    return Scene(place, sky, wall, hero, hero_color, side, sport, item, item_color, count)
