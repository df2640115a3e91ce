"""A tiny dataset folder in the official layout, for tests of every room.

Each image shows up to four grey marks on a ground of one colour, so that the colour and the number
can be asked about: the answers depend on the image, not on the question alone.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 180, 30),
    "blue": (40, 60, 230),
    "yellow": (235, 220, 40),
    "black": (10, 10, 10),
    "white": (250, 250, 250),
}
MOST_MARKS = 4
ANSWERS_OF_NOBODY = ("something", "nothing", "unknown")  # what a lone annotator says instead


def write_dataset(
    folder: Path,
    *,
    images: int = 12,
    questions_per_image: int = 3,
    size_px: int = 32,
    splits: Sequence[str] = ("train", "val", "test"),
    answers_per_question: int = 10,
    seed: int = 0,
) -> Path:
    """Write `images` images for each split, with their questions and answers, into `folder`.

    Image ids start at 1 in the first split, at 1001 in the second and so on; question ids are
    `10 * image_id + number`. Questions go round colour (other), number and yes/no; of ten
    annotators up to three disagree.
    """
    generator = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for position, split in enumerate(splits):
        questions, annotations = [], []
        for image_id in range(1000 * position + 1, 1000 * position + images + 1):
            colour = list(COLOURS)[int(generator.integers(len(COLOURS)))]
            marks = int(generator.integers(1, MOST_MARKS + 1))
            _draw(folder / "images" / f"{image_id:012d}.png", colour, marks, size_px)
            for number in range(questions_per_image):
                ids = {"question_id": 10 * image_id + number, "image_id": image_id}
                question, kind, answer_type, answer = _ask(number, colour, marks, generator)
                questions.append({**ids, "question": question})
                odd = int(generator.integers(0, 4)) if answers_per_question == 10 else 0
                said = [*ANSWERS_OF_NOBODY[:odd], *[answer] * (answers_per_question - odd)]
                given = [
                    {"answer": one, "answer_confidence": "yes", "answer_id": i}
                    for i, one in enumerate(said, start=1)
                ]
                types = {"question_type": kind, "answer_type": answer_type}
                annotations.append(
                    {**ids, **types, "multiple_choice_answer": answer, "answers": given}
                )
        write_json(folder / f"questions_{split}.json", {"questions": questions})
        write_json(folder / f"annotations_{split}.json", {"annotations": annotations})
    return folder


def open_small(folder: Path, features: Path, **changes):  # -> Data
    """Open a dataset for models that see 32 pixels, with random weights and stand-ins."""
    from vqa_helpers.data.folder import read_folder
    from vqa_helpers.training.inputs import open_data

    usual = dict(weights="random", image_size=32, offline=True, features=features, device="cpu")
    return open_data(read_folder(folder), **{**usual, **changes})


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def retell(
    folder: Path, split: str, *, asked: Callable | None = None, answered: Callable | None = None
) -> None:
    """Let a split's questions be asked, or answered by all, otherwise: as functions of the number of
    a question and its text say, and of its number and its answer."""
    for kind, field, told in (
        ("questions", "question", asked), ("annotations", "multiple_choice_answer", answered),
    ):  # fmt: skip
        content = read_json(folder / f"{kind}_{split}.json")
        for number, entry in enumerate(content[kind] if told else ()):
            entry[field] = told(number, entry[field])
            if kind == "annotations":
                entry["answers"] = [{"answer": entry[field]}] * 10
        write_json(folder / f"{kind}_{split}.json", content)


def _ask(
    number: int, colour: str, marks: int, generator: np.random.Generator
) -> tuple[str, str, str, str]:
    """Question, question type, answer type, answer."""
    if number % 3 == 0:
        return "What color is the ground?", "what color is the", "other", colour
    if number % 3 == 1:
        return "How many marks are there?", "how many", "number", str(marks)
    asked = colour if generator.random() < 0.5 else list(COLOURS)[int(generator.integers(6))]
    return f"Is the ground {asked}?", "is the", "yes/no", "yes" if asked == colour else "no"


def _draw(path: Path, colour: str, marks: int, size_px: int) -> None:
    image = Image.new("RGB", (size_px, size_px), COLOURS[colour])
    draw = ImageDraw.Draw(image)
    step = size_px / MOST_MARKS
    for mark in range(marks):
        left = mark * step + step / 4
        draw.rectangle((left, size_px / 3, left + step / 2, 2 * size_px / 3), fill=(128, 128, 128))
    image.save(path)


LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by  \n"


def write_wordnet(folder: Path, nouns: Sequence[str], exceptions: str = "") -> Path:
    """Write the nouns of a WordNet database into `folder`.

    Each noun is a synset, "sofa couch < seat": its words, then one word of each that it is a kind
    of, or with "!" an instance of. Each is a part of the last one, too, and its gloss looks like a
    pointer.
    """
    halves = [noun.partition(" < ") for noun in nouns]
    synsets = [(words.split(), parents.split()) for words, _, parents in halves]
    senses: dict[str, list[int]] = {}
    for number, (words, _) in enumerate(synsets):
        for word in words:
            senses.setdefault(word, []).append(number)

    def line(number: int, offsets: Sequence[int]) -> str:
        words, parents = synsets[number]
        kinds = [("@i" if one[0] == "!" else "@", senses[one.lstrip("!")][0]) for one in parents]
        pointers = [*kinds, ("%p", len(synsets) - 1)]
        cells = [f"{offsets[number]:08d} 06 n {len(words):02x}", *(f"{word} 0" for word in words)]
        cells += [f"{len(pointers):03d}", *(f"{s} {offsets[n]:08d} n 0000" for s, n in pointers)]
        return f"{' '.join(cells)} | as in @ {offsets[-1]:08d} n 0000  \n"

    numbers = range(len(synsets))
    offsets, unknown = [len(LICENCE)], [0] * len(synsets)
    for number in numbers:
        offsets.append(offsets[-1] + len(line(number, unknown)))
    index = [
        f"{word.lower()} n {len(own)} 2 @ %p {len(own)} 0 "
        + " ".join(f"{offsets[number]:08d}" for number in own)
        for word, own in sorted(senses.items())
    ]
    folder.mkdir(parents=True)
    data = "".join(line(number, offsets[:-1]) for number in numbers)
    (folder / "data.noun").write_bytes((LICENCE + data).encode())
    (folder / "index.noun").write_bytes((LICENCE + "  \n".join([*index, ""])).encode())
    (folder / "noun.exc").write_bytes(exceptions.encode())
    return folder


def write_release(
    folder: Path,
    release: str = "v1",
    subsets: Sequence[str] = ("train2014", "val2014", "test2015"),
    *,
    images: int = 12,
    size_px: int = 32,
) -> Path:
    """Write an official release cut small, photographs included, under the official names.

    Answers of `test2015` are not published. VQA v1 holds multiple-choice files too; they are
    there to be left alone.
    """
    prefix = {"v1": "", "v2": "v2_"}[release]
    made = write_dataset(folder / "made", images=images, splits=subsets, size_px=size_px)
    for subset in subsets:
        questions = folder / f"{prefix}OpenEnded_mscoco_{subset}_questions.json"
        (made / f"questions_{subset}.json").rename(questions)
        if release == "v1":
            shutil.copy(questions, folder / f"MultipleChoice_mscoco_{subset}_questions.json")
        if subset != "test2015":
            annotations = folder / f"{prefix}mscoco_{subset}_annotations.json"
            (made / f"annotations_{subset}.json").rename(annotations)
        (folder / subset).mkdir()
        for entry in read_json(questions)["questions"]:
            name = f"{entry['image_id']:012d}"
            photograph = folder / subset / f"COCO_{subset}_{name}.jpg"
            Image.open(made / "images" / f"{name}.png").convert("RGB").save(photograph)
    shutil.rmtree(made)
    return folder


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
