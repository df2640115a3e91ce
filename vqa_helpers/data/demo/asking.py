"""Ask three questions about a scene and have ten annotators answer each.

Knows scenes, not pictures: everything here runs without drawing. Which answer is true follows
from the scene; which questions are asked decides the biases of the set, and they are those of the
real data: more yes than no, one to three far ahead among the numbers.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from numpy.random import Generator

from vqa_helpers.data.demo.scenes import (
    ANIMALS,
    HERO_KINDS,
    ITEM_PAINTS,
    ITEMS,
    MOST,
    PAINTS,
    PEOPLE,
    PLACES,
    SKIES,
    VEHICLES,
    WALLS,
    Scene,
    lookalikes,
    pick,
)

PER_IMAGE = 3
ANNOTATORS = 10
NUMBER_RATE = 0.8  # images with a number question; never two
YES_NO_RATE = 0.545  # of the other questions
YES_RATE = 0.56  # before the annotators have their say
NONE_RATE = 0.03  # of the number questions: about a thing that is not there

PLACE_WORDS = {
    "beach": ("shore", "sand", "ocean"),
    "park": ("grass", "field", "outside"),
    "street": ("road", "city", "outside"),
    "farm": ("field", "outside"),
    "lake": ("water", "sea"),
    "mountains": ("snow", "outside"),
    "kitchen": ("inside",),
    "bedroom": ("bed room",),
    "bathroom": ("bath", "restroom"),
    "living room": ("lounge", "livingroom"),
}
SYNONYMS: dict[str, tuple[str, ...]] = {
    **PLACE_WORDS,
    "red": ("dark red", "maroon"),
    "blue": ("light blue", "dark blue"),
    "green": ("dark green", "teal"),
    "yellow": ("gold",),
    "orange": ("red",),
    "purple": ("violet",),
    "pink": ("light red",),
    "white": ("cream", "off white"),
    "black": ("dark gray",),
    "brown": ("tan",),
    "gray": ("grey", "silver"),
    "day": ("daytime", "noon", "afternoon"),
    "evening": ("sunset", "dusk"),
    "night": ("nighttime", "midnight"),
    "sunny": ("clear", "nice"),
    "cloudy": ("overcast",),
    "rainy": ("raining", "wet"),
    "snowy": ("snowing", "cold"),
    "car": ("vehicle", "automobile"),
    "truck": ("van", "lorry"),
    "boat": ("sailboat", "ship"),
    "house": ("cabin", "home"),
    "teapot": ("kettle", "pot"),
    "man": ("person", "boy"),
    "woman": ("girl", "lady"),
    "dog": ("puppy",),
    "cat": ("kitten",),
    "horse": ("pony",),
    "balls": ("ball",),
    "blocks": ("boxes", "cubes"),
    "cups": ("mugs",),
    "people": ("kids", "humans"),
    "ducks": ("birds",),
    "birds": ("bird",),
    "stars": ("starfish",),
    "soccer": ("football",),
    "skiing": ("ski",),
    "surfing": ("surf",),
    "tile": ("tiles",),
    "wood": ("planks",),
    "carpet": ("rug",),
}
COVERS = {
    **{"beach": "sand", "park": "grass", "street": "asphalt", "farm": "wheat", "lake": "water"},
    **{"mountains": "snow", "kitchen": "tile", "bathroom": "tile", "bedroom": "wood"},
    "living room": "carpet",
}
IN_THE_SKY = {"sunny": "sun", "sunset": "sun", "night": "moon"}
SKY_COLORS = {"sunny": "blue", "sunset": "orange", "night": "black"}
SKY_YES_NO = {
    "sunny": "Is it sunny?",
    "cloudy": "Is it cloudy?",
    "rainy": "Is it raining?",
    "sunset": "Is the sun setting?",
    "night": "Is it night?",
}

Ask = tuple[float, tuple[str, ...], str]  # weight, wordings (the first is the usual one), answer


@dataclass(frozen=True)
class Asked:
    """One question with its ten answers; `truth` is what the scene says."""

    question: str
    truth: str
    answer_type: str
    answer: str  # the most common of `answers`
    answers: tuple[str, ...]
    confidences: tuple[str, ...]  # "yes", "maybe" or "no", one per answer


def ask_about(scene: Scene, rng: Generator) -> tuple[Asked, ...]:
    """PER_IMAGE different questions about the scene, answered by ANNOTATORS people each."""
    kinds = ["number"] if rng.random() < NUMBER_RATE else []
    while len(kinds) < PER_IMAGE:
        kinds.append("yes/no" if rng.random() < YES_NO_RATE else "other")
    asked: dict[str, Asked] = {}
    for kind in (kinds[i] for i in rng.permutation(PER_IMAGE)):
        asks = _ASKERS[kind](scene, rng)
        asks = [ask for ask in asks if not asked.keys() & set(ask[1])]
        _, wordings, truth = asks[int(pick(rng, range(len(asks)), [ask[0] for ask in asks]))]
        question = pick(rng, wordings, [4.0] + [1.0] * (len(wordings) - 1))
        answers, confidences = _annotate(truth, kind, rng)
        answer = most_common(answers, truth)
        asked[question] = Asked(question, truth, kind, answer, answers, confidences)
    return tuple(asked.values())


def most_common(answers: Iterable[str], truth: str) -> str:
    """The most frequent answer; of several, the truth if it is one of them, else the first."""
    counts = Counter(answers)
    most = max(counts.values())
    return truth if counts[truth] == most else next(a for a in counts if counts[a] == most)


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _other_than(rng: Generator, choices: Iterable[str], *taken: str) -> str:
    return pick(rng, [choice for choice in choices if choice not in taken])


def _absent_items(scene: Scene, rng: Generator) -> str:
    """Things, plural, of which the scene beyond doubt shows none: a duck is a bird."""
    doubtful = lookalikes(scene.hero, scene.sport, scene.sky) | {scene.item, "person"}
    if scene.item in ("duck", "bird"):
        doubtful |= {"duck", "bird"}
    return ITEMS[_other_than(rng, ITEMS, *doubtful)]


def _absent_hero(scene: Scene, rng: Generator) -> str:
    """A thing that is not in the scene, not in its backdrop either."""
    doubtful = {scene.hero}
    if scene.item == "person":
        doubtful |= set(PEOPLE)
    if scene.place == "street":
        doubtful.add("house")
    return _other_than(rng, HERO_KINDS, *doubtful)


def _yes_no(scene: Scene, rng: Generator) -> list[Ask]:
    """Questions whose answer is the one drawn first, so that every wording meets both answers."""
    want = rng.random() < YES_RATE
    answer = "yes" if want else "no"

    def named(actual: str, choices: Iterable[str]) -> str:
        return actual if want else _other_than(rng, choices, actual)

    place = named(scene.place, PLACES)
    asks: list[Ask] = []
    if place == "mountains":
        asks.append((6.0, ("Is there snow on the ground?", "Has it snowed?"), answer))
    else:
        asks.append((6.0, (f"Is this {_a(place)}?", f"Could this be {_a(place)}?"), answer))
    inside = "indoors" if scene.indoors == want else "outdoors"
    an_inside = _a(inside.removesuffix("s"))
    wordings = (f"Is this {inside}?", f"Is this {an_inside} scene?", f"Was this taken {inside}?")
    asks.append((3.0, wordings, answer))
    if not scene.indoors:
        sky = named(scene.sky, SKIES)
        if sky in SKY_YES_NO:
            asks.append((7.5, (SKY_YES_NO[sky],), answer))
        if (scene.sky == "night") == want:
            asks.append((1.2, ("Does the sky look dark?",), answer))
    else:
        wall = named(scene.wall, WALLS)
        asks.append((7.0, (f"Is the wall {wall}?",), answer))
    return asks + _things_yes_no(scene, want, rng)


def _things_yes_no(scene: Scene, want: bool, rng: Generator) -> list[Ask]:
    """The yes/no questions about the hero and the counted things."""
    answer = "yes" if want else "no"
    asks: list[Ask] = []
    hero = scene.hero if want else _absent_hero(scene, rng)
    asks.append((1.0, (f"Is there {_a(hero)} in the picture?", f"Can you see {_a(hero)}?"), answer))
    animal_here = scene.hero in ANIMALS or scene.item in ("bird", "duck")
    if animal_here == want:
        asks.append((0.7, ("Is there an animal?", "Do you see an animal?"), answer))
    person_here = scene.hero in PEOPLE or scene.item == "person"
    if person_here == want:
        asks.append((0.6, ("Is there a person in the picture?", "Are there any people?"), answer))
    kind = scene.items if want else _absent_items(scene, rng)
    asks.append((0.7, (f"Are there any {kind}?", f"Are there {kind} in the picture?"), answer))
    if (scene.count > 3) == want:
        asks.append((0.6, (f"Are there more than three {scene.items}?",), answer))
    if scene.count > 1:
        color = scene.item_color if want else _other_than(rng, ITEM_PAINTS, scene.item_color)
        asks.append((0.3, (f"Are the {scene.items} {color}?", f"Are these {color}?"), answer))
    color = scene.hero_color if want else _other_than(rng, PAINTS, scene.hero_color)
    if scene.hero in PEOPLE:
        asks.append((0.4, (f"Is the {scene.hero} wearing {color}?",), answer))
    elif scene.hero not in ("cow", "sheep", "elephant"):
        asks.append((0.4, (f"Is the {scene.hero} {color}?",), answer))
    return asks


def _number(scene: Scene, rng: Generator) -> list[Ask]:
    kind, count = scene.items, scene.count
    if rng.random() < NONE_RATE:
        kind, count = _absent_items(scene, rng), 0
    if kind == "people":
        usual = "How many people are in the picture?"
    else:
        usual = f"How many {kind} are there?"
    return [(1.0, (usual, f"How many {kind} can you see?"), str(count))]


def _other(scene: Scene, rng: Generator) -> list[Ask]:
    asks: list[Ask] = [
        (2.0, (f"Where is the {scene.hero}?",), scene.place),
        (3.0, ("What is this place?", "Where was this picture taken?"), scene.place),
        (2.4, ("What is the ground covered with?",), COVERS[scene.place]),
        (0.4, ("What is the biggest thing in the picture?", "What is this?"), scene.hero),
        (0.25, (f"Which side is the {scene.hero} on?",), scene.side),
    ]
    if scene.indoors:
        asks.append((3.0, ("What room is this?", "Which room is this?"), scene.place))
        asks.append((4.0, ("What color is the wall?", "What color is this wall?"), scene.wall))
    else:
        asks += _about_the_sky(scene.sky)
    asks += _about_the_hero(scene)
    if scene.count == 1:
        asks.append((0.4, (f"What color is the {scene.item}?",), scene.item_color))
    else:
        asks.append((0.7, (f"What color are the {scene.items}?",), scene.item_color))
    if scene.count >= 3:
        where = "in the air" if scene.item in ("bird", "balloon") else "on the ground"
        asks.append((0.4, ("What are these?", f"What are the things {where}?"), scene.items))
    return asks


def _about_the_sky(sky: str) -> list[Ask]:
    color = SKY_COLORS.get(sky, "gray")
    asks: list[Ask] = [
        (2.4, ("What color is the sky?",), color),
        (0.6, ("What is in the sky?",), IN_THE_SKY.get(sky, "clouds")),
    ]
    time = sky if sky == "night" else "evening" if sky == "sunset" else "day"
    asks.append((0.7, ("What time of day is it?",), time))
    if sky not in ("sunset", "night"):
        asks.append((1.8, ("How is the weather?", "What is the weather like?"), sky))
    return asks


def _about_the_hero(scene: Scene) -> list[Ask]:
    hero, asks = scene.hero, []
    if hero in ANIMALS:
        asks.append((1.1, ("What animal is this?", "What animal is in the picture?"), hero))
    if hero in VEHICLES:
        asks.append((1.5, ("What kind of vehicle is this?",), hero))
    if hero in PEOPLE:
        asks.append((1.1, ("What sport is this?", f"What is the {hero} doing?"), scene.sport))
        garment = "shirt" if hero == "man" else "dress"
        asks.append((0.8, (f"What color is the {hero}'s {garment}?",), scene.hero_color))
    elif hero not in ("cow", "sheep", "elephant"):
        wordings = (f"What color is the {hero}?", f"What is the color of the {hero}?")
        asks.append((1.3, wordings, scene.hero_color))
    return asks


_ASKERS: dict[str, Callable[[Scene, Generator], list[Ask]]] = {
    "yes/no": _yes_no,
    "number": _number,
    "other": _other,
}


def _annotate(truth: str, kind: str, rng: Generator) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Answers and confidences of ANNOTATORS people; one question in eight is found hard."""
    hard = rng.random() < 0.12
    answers, confidences = [], []
    for _ in range(ANNOTATORS):
        answer = _one_answer(truth, kind, hard, rng)
        sure = (0.86, 0.12, 0.02) if answer == truth else (0.4, 0.42, 0.18)
        answers.append(answer)
        confidences.append(pick(rng, ("yes", "maybe", "no"), sure))
    return tuple(answers), tuple(confidences)


def _one_answer(truth: str, kind: str, hard: bool, rng: Generator) -> str:
    if kind == "yes/no":
        flips = rng.random() < (0.22 if hard else 0.04)
        return {"yes": "no", "no": "yes"}[truth] if flips else truth
    if kind == "number":
        count = int(truth)
        if rng.random() >= (0.06 if hard else 0.01) + 0.033 * min(count, 12):
            return truth
        off = int(pick(rng, (-1, 1, -2, 2), (4, 4, 1, 1) if count > 8 else (1, 1, 0, 0)))
        return str(min(MOST, max(0, count + off)))
    if rng.random() < (0.35 if hard else 0.1):
        return pick(rng, SYNONYMS.get(truth, (truth,)))
    return truth
