"""What the scenes of the embedded dataset hold: a place, its sky or wall, a hero, counted things.

Knows which things may meet and how often; knows nothing of pixels, questions or files. A scene is
drawn at random from one `numpy.random.Generator` and is all that the drawing and the asking see.
"""

from dataclasses import dataclass

from numpy.random import Generator

OUTDOORS = ("beach", "park", "street", "farm", "lake", "mountains")
ROOMS = ("kitchen", "bedroom", "bathroom", "living room")
PLACES = OUTDOORS + ROOMS

SKIES = {"sunny": 0.28, "cloudy": 0.2, "rainy": 0.16, "sunset": 0.17, "night": 0.19}
WALLS = ("white", "yellow", "blue", "green", "pink", "purple")
PAINTS = ("red", "blue", "yellow", "green", "white", "black", "orange", "purple", "pink")
ITEM_PAINTS = ("red", "yellow", "blue", "white", "orange", "purple", "pink")
APPLE_PAINTS = ("red", "green", "yellow")

VEHICLES = ("car", "bus", "truck", "boat")
ANIMALS = ("dog", "cat", "horse", "cow", "sheep", "elephant")
PEOPLE = ("man", "woman")
FURS = {
    "dog": ("brown", "black", "white", "gray"),
    "cat": ("orange", "black", "gray", "white"),
    "horse": ("brown", "white", "black"),
    "cow": ("white",),
    "sheep": ("white",),
    "elephant": ("gray",),
}

HEROES = {
    "beach": ("umbrella", "man", "woman", "dog", "boat", "boat", "tent"),
    "park": ("dog", "horse", "man", "woman", "umbrella", "tent", "elephant"),
    "street": ("car", "bus", "truck", "man", "woman", "house", "dog"),
    "farm": ("cow", "horse", "sheep", "truck", "house", "car"),
    "lake": ("boat", "boat", "elephant", "man", "woman"),
    "mountains": ("house", "tent", "man", "woman", "car", "sheep", "bus"),
    "kitchen": ("teapot", "vase", "cat", "chair"),
    "bedroom": ("lamp", "cat", "dog", "chair"),
    "bathroom": ("vase", "cat", "lamp", "dog"),
    "living room": ("lamp", "chair", "vase", "cat", "teapot"),
}
HERO_KINDS = tuple(sorted({hero for heroes in HEROES.values() for hero in heroes}))

# singular -> plural; those that fly are spread over the sky, the others over the ground
ITEMS = {
    "ball": "balls",
    "apple": "apples",
    "flower": "flowers",
    "star": "stars",
    "duck": "ducks",
    "cup": "cups",
    "block": "blocks",
    "person": "people",
    "balloon": "balloons",
    "bird": "birds",
}
FLYING = ("balloon", "bird")
PLACE_ITEMS = {
    "beach": ("ball", "star", "person", "bird", "balloon"),
    "park": ("ball", "flower", "apple", "person", "bird", "balloon"),
    "street": ("ball", "person", "balloon", "bird", "block"),
    "farm": ("apple", "flower", "duck", "bird", "balloon"),
    "lake": ("duck", "duck", "bird", "balloon", "star"),
    "mountains": ("person", "ball", "bird", "balloon", "block"),
    "kitchen": ("cup", "apple", "flower", "block"),
    "bedroom": ("block", "ball", "star", "cup"),
    "bathroom": ("duck", "cup", "ball", "star"),
    "living room": ("cup", "flower", "balloon", "block", "apple"),
}

SPORTS = {
    "beach": ("surfing", "volleyball"),
    "park": ("soccer", "tennis"),
    "street": ("skateboarding",),
    "lake": ("surfing",),
    "mountains": ("skiing", "snowboarding"),
}

BALL_SPORTS = ("volleyball", "soccer", "tennis")

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
        return self.place in ROOMS

    @property
    def items(self) -> str:
        """The counted kind, plural."""
        return ITEMS[self.item]


def pick(rng: Generator, choices, weights=None) -> str:
    """One of `choices`, in proportion to `weights` (equal when not given)."""
    choices = tuple(choices)
    if weights is None:
        return choices[rng.integers(len(choices))]
    weights = tuple(weights)
    total = sum(weights)
    return choices[rng.choice(len(choices), p=[weight / total for weight in weights])]


def lookalikes(hero: str, sport: str, sky: str) -> set[str]:
    """Kinds of ITEMS that the rest of the scene shows too, and that would have to be counted."""
    kinds = set()
    if hero in PEOPLE:
        kinds.add("person")
    if hero == "vase":
        kinds.add("flower")
    if sport in BALL_SPORTS:
        kinds.add("ball")
    if sky == "night":
        kinds.add("star")
    return kinds


def sample_scene(rng: Generator) -> Scene:
    """A random scene whose parts go together; six in ten are outdoors."""
    place = pick(rng, PLACES)
    sky = wall = sport = ""
    if place in ROOMS:
        wall = pick(rng, WALLS)
    else:
        sky = pick(rng, SKIES, SKIES.values())
        if place == "mountains" and sky == "rainy":
            sky = "snowy"
    hero = pick(rng, HEROES[place])
    if hero in PEOPLE:
        sport = pick(rng, SPORTS[place])
    besides = lookalikes(hero, sport, sky)
    item = pick(rng, [kind for kind in PLACE_ITEMS[place] if kind not in besides])
    return Scene(
        place=place,
        sky=sky,
        wall=wall,
        hero=hero,
        hero_color=pick(rng, FURS.get(hero, PAINTS)),
        side=pick(rng, ("left", "right")),
        sport=sport,
        item=item,
        item_color=pick(rng, APPLE_PAINTS if item == "apple" else ITEM_PAINTS),
        count=int(pick(rng, range(1, MOST + 1), COUNT_WEIGHTS)),
    )
