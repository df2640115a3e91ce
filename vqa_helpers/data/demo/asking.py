"""Ask three questions about a scene and have ten annotators answer each.

Which answer is true follows from the scene; which questions are asked decides the biases of the
set, and they are those of the real data: more yes than no, one to three far ahead among the
numbers. Everything here runs without drawing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from numpy.random import Generator

from vqa_helpers.data.demo import scenes as world
from vqa_helpers.data.demo.scenes import Scene, lookalikes, pick

PER_IMAGE = 3
ANNOTATORS = 10
NUMBER_RATE = 0.8  # images with a number question; never two
YES_NO_RATE = 0.545  # of the other questions
YES_RATE = 0.56  # before the annotators have their say
NONE_RATE = 0.03  # of the number questions: about a thing that is not there

# How often it is asked (0: never, of this scene), the answer, and the wordings, the usual one first.
Ask = tuple[float, str, *tuple[str, ...]]


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
    askers = {"yes/no": _yes_no, "number": _number, "other": _other}
    kinds = ["number"] if rng.random() < NUMBER_RATE else []
    while len(kinds) < PER_IMAGE:
        kinds.append("yes/no" if rng.random() < YES_NO_RATE else "other")
    asked: dict[str, Asked] = {}
    for kind in (kinds[i] for i in rng.permutation(PER_IMAGE)):
        asks = [a for a in askers[kind](scene, rng) if a[0] and not asked.keys() & set(a[2:])]
        _, truth, *wordings = asks[pick(rng, range(len(asks)), [ask[0] for ask in asks])]
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
    """Things, plural, of which the scene certainly shows none: a duck is a bird."""
    doubtful = lookalikes(scene.hero, scene.sport, scene.sky) | {scene.item, "person"}
    if scene.item in ("duck", "bird"):
        doubtful |= {"duck", "bird"}
    return world.PLURALS[_other_than(rng, world.PLURALS, *doubtful)]


def _absent_hero(scene: Scene, rng: Generator) -> str:
    """A thing that is not in the scene, not in its backdrop either."""
    people = world.PEOPLE if scene.item == "person" else ()
    houses = ("house",) if scene.place == "street" else ()
    return _other_than(rng, world.HERO_KINDS, scene.hero, *people, *houses)


def _yes_no(scene: Scene, rng: Generator) -> list[Ask]:
    """Questions whose answer is the one drawn first, so that every wording meets both answers."""
    want = rng.random() < YES_RATE

    def named(actual: str, choices: Iterable[str]) -> str:
        return actual if want else _other_than(rng, choices, actual)

    hero, items, out = scene.hero, scene.items, not scene.indoors
    place = named(scene.place, world.PLACES)
    inside = "indoors" if scene.indoors == want else "outdoors"
    snow, an_inside = place == "mountains", _a(inside.removesuffix("s"))
    sky = world.SKIES[named(scene.sky, world.USUAL_SKIES)].get("question", "") if out else ""
    wall = "" if out else named(scene.wall, world.WALLS)
    thing = hero if want else _absent_hero(scene, rng)
    animal = hero in world.ANIMALS or scene.item in ("bird", "duck")
    person = hero in world.PEOPLE or scene.item == "person"
    kind = items if want else _absent_items(scene, rng)
    several = scene.count > 1
    color = named(scene.item_color, world.PAINTS["item"]) if several else ""
    hero_color = named(scene.hero_color, world.PAINTS["hero"])
    asks = [
        (6.0 * snow, "Is there snow on the ground?", "Has it snowed?"),
        (6.0 * (not snow), f"Is this {_a(place)}?", f"Could this be {_a(place)}?"),
        (3.0, f"Is this {inside}?", f"Is this {an_inside} scene?", f"Was this taken {inside}?"),
        (7.5 * bool(sky), sky),
        (1.2 * (out and (scene.sky == "night") == want), "Does the sky look dark?"),
        (7.0 * bool(wall), f"Is the wall {wall}?"),
        (1.0, f"Is there {_a(thing)} in the picture?", f"Can you see {_a(thing)}?"),
        (0.7 * (animal == want), "Is there an animal?", "Do you see an animal?"),
        (0.6 * (person == want), "Is there a person in the picture?", "Are there any people?"),
        (0.7, f"Are there any {kind}?", f"Are there {kind} in the picture?"),
        (0.6 * ((scene.count > 3) == want), f"Are there more than three {items}?"),
        (0.3 * several, f"Are the {items} {color}?", f"Are these {color}?"),
        (0.4 * (hero in world.PEOPLE), f"Is the {hero} wearing {hero_color}?"),
        (0.4 * _is_painted(hero), f"Is the {hero} {hero_color}?"),
    ]
    return [(weight, "yes" if want else "no", *wordings) for weight, *wordings in asks]


def _is_painted(hero: str) -> bool:
    """Whether it is worth asking for its colour: a sheep is white."""
    return hero not in world.PEOPLE and len(world.PAINTS.get(hero, world.PAINTS["hero"])) > 1


def _number(scene: Scene, rng: Generator) -> list[Ask]:
    kind, count = scene.items, scene.count
    if rng.random() < NONE_RATE:
        kind, count = _absent_items(scene, rng), 0
    there = "are in the picture" if kind == "people" else "are there"
    return [(1.0, str(count), f"How many {kind} {there}?", f"How many {kind} can you see?")]


def _other(scene: Scene, rng: Generator) -> list[Ask]:
    hero, place, item, items, wall = scene.hero, scene.place, scene.item, scene.items, scene.wall
    cover, color, one = world.PLACES[place]["cover"], scene.hero_color, scene.count == 1
    painted = 1.3 * _is_painted(hero)
    out, sky = not scene.indoors, world.SKIES.get(scene.sky, defaultdict(str))
    clear = out and scene.sky not in ("sunset", "night")
    animal, person = hero in world.ANIMALS, hero in world.PEOPLE
    garment = "shirt" if hero == "man" else "dress"
    where = "in the air" if item in world.FLYING else "on the ground"
    return [
        (2.0, place, f"Where is the {hero}?"),
        (3.0, place, "What is this place?", "Where was this picture taken?"),
        (2.4, cover, "What is the ground covered with?"),
        (0.4, hero, "What is the biggest thing in the picture?", "What is this?"),
        (0.25, scene.side, f"Which side is the {hero} on?"),
        (3.0 * scene.indoors, place, "What room is this?", "Which room is this?"),
        (4.0 * scene.indoors, wall, "What color is the wall?", "What color is this wall?"),
        (2.4 * out, sky["color"], "What color is the sky?"),
        (0.6 * out, sky["holds"], "What is in the sky?"),
        (0.7 * out, sky["time"], "What time of day is it?"),
        (1.8 * clear, scene.sky, "How is the weather?", "What is the weather like?"),
        (1.1 * animal, hero, "What animal is this?", "What animal is in the picture?"),
        (1.5 * (hero in world.VEHICLES), hero, "What kind of vehicle is this?"),
        (1.1 * person, scene.sport, "What sport is this?", f"What is the {hero} doing?"),
        (0.8 * person, color, f"What color is the {hero}'s {garment}?"),
        (painted, color, f"What color is the {hero}?", f"What is the color of the {hero}?"),
        (0.4 * one, scene.item_color, f"What color is the {item}?"),
        (0.7 * (not one), scene.item_color, f"What color are the {items}?"),
        (0.4 * (scene.count >= 3), items, "What are these?", f"What are the things {where}?"),
    ]


def _annotate(truth: str, kind: str, rng: Generator) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Answers and confidences of ANNOTATORS people; one question in eight is found hard."""
    hard = rng.random() < 0.12
    told = []
    for _ in range(ANNOTATORS):
        answer = _one_answer(truth, kind, hard, rng)
        sure = (0.86, 0.12, 0.02) if answer == truth else (0.4, 0.42, 0.18)
        told.append((answer, pick(rng, ("yes", "maybe", "no"), sure)))
    answers, confidences = zip(*told, strict=True)
    return answers, confidences


def _one_answer(truth: str, kind: str, hard: bool, rng: Generator) -> str:
    if kind == "yes/no":
        flips = rng.random() < (0.22 if hard else 0.04)
        return {"yes": "no", "no": "yes"}[truth] if flips else truth
    if kind == "number":
        count = int(truth)
        if rng.random() >= (0.06 if hard else 0.01) + 0.033 * min(count, 12):
            return truth
        off = pick(rng, (-1, 1, -2, 2), (4, 4, 1, 1) if count > 8 else (1, 1, 0, 0))
        return str(min(world.MOST, max(0, count + off)))
    if rng.random() < (0.35 if hard else 0.1):
        return pick(rng, world.WORLD["synonyms"].get(truth, [truth]))
    return truth
