"""Why a model answered as it did: which regions of the photograph and which words counted, and how
much both count over a whole split.

Both are found by removing something and asking again (occlusion: Zeiler and Fergus, 2014), so they
work for any model and show what it uses, not what it attends to.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image, ImageEnhance

from vqa_helpers.answering import Answerer, Photograph, opened
from vqa_helpers.data.folder import Dataset
from vqa_helpers.data.vocabulary import tokenize
from vqa_helpers.features.pixels import BadImage, load_square
from vqa_helpers.report.style import BLUE, fitted, styled

log = logging.getLogger(__name__)

MOST_WORDS = 14  # that are drawn
PLACES = 7  # a side; each overlaps its neighbours by half
MOST_NUDGED = 1000  # questions
REWORDED = {
    "how many": "what number of", "what color": "which color", "what colour": "which colour",
    "which color": "what color", "is there": "do you see", "are there": "do you see",
    "what kind of": "what type of", "what type of": "what kind of", "what is": "what's",
    "what's": "what is",
}  # fmt: skip
_LEAST = 0.05  # a fall that lights a place fully, where no other falls further
_HEAT = mpl.colormaps["inferno"]


@dataclass(frozen=True)
class Reasons:
    """What counted for the first answer to a question.

    Attributes:
        square: what the model saw, (S, S, 3) uint8; None for a model that sees nothing.
        place_drops: (P, P) how much less probable the answer is with that place covered by the
            photograph's mean colour, from -1 to 1; None for a model that sees nothing.
        words: the words of the question; empty for a model that reads nothing.
        word_drops: how much less probable the answer is without each word.
    """

    question: str
    answer: str
    probability: float
    square: np.ndarray | None
    place_drops: np.ndarray | None
    words: list[str]
    word_drops: list[float]

    def heat(self) -> np.ndarray:
        """The square with the places that counted lit and the others darkened, (S, S, 3) uint8."""
        falls = np.clip(self.place_drops, 0, None)
        return highlighted(self.square, falls / max(falls.max(), _LEAST))

    @styled
    def figure(self) -> Figure:
        """The photograph, the places that counted, and the words that counted."""
        pictures = {}
        if self.square is not None:
            most = f"what counted: {100 * max(self.place_drops.max(), 0):.0f} points at most"
            pictures = {"what the model saw": self.square, most: self.heat()}
        figure = draw_panels(
            pictures, self.words, self.word_drops, "points less probable without it",
            self.question, self.answer, self.probability,
        )  # fmt: skip
        if self.words:
            low, high = figure.axes[-1].get_xlim()
            figure.axes[-1].set_xlim(min(low, -1), max(high, 1))  # less than a point is nothing
        return figure


def draw_panels(
    pictures: Mapping[str, np.ndarray], words: Sequence[str], values: Sequence[float], label: str,
    question: str, answer: str, probability: float,
) -> Figure:  # fmt: skip
    """Pictures side by side, then a bar for each of the words that count most, under the question
    and its answer.

    Args:
        pictures: title to picture.
        values: of the words, as shares of one; drawn in percent.
        label: what these are.
    """
    count = len(pictures) + bool(words) or 1  # one that is empty carries the title
    figure, axes = plt.subplots(1, count, figsize=(3.4 * count, 3.2), squeeze=False)
    for panel, (title, picture) in zip(axes[0], pictures.items(), strict=False):
        panel.imshow(picture)
        panel.set(title=title, xticks=[], yticks=[])
    panel = axes[0, -1]
    if words:
        values = 100 * np.asarray(values)
        most = sorted(np.argsort(np.abs(values))[-MOST_WORDS:])  # as they were asked
        panel.barh(range(len(most)), values[most], color=BLUE)
        panel.set_yticks(range(len(most)), [fitted(words[word], 18) for word in most])
        panel.invert_yaxis()
        title = "words" if len(most) == len(words) else "the words that counted most"
        panel.set(xlabel=label, title=title)
    elif not pictures:
        panel.set_axis_off()
    said = f"{fitted(answer, 22)}, {100 * probability:.0f} %"
    figure.suptitle(f"{fitted(question, 26 * count, 2)}\n{said}")
    return figure


def highlighted(square: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """A square (S, S, 3) with P x P places lit by their strength (P, P), from 0 (dark) to 1, as (S, S, 3)
    uint8."""
    small = Image.fromarray((255 * strength).astype(np.uint8))
    smooth = np.asarray(small.resize(square.shape[:2], Image.Resampling.BICUBIC)) / 255  # (S, S)
    strong = smooth[..., None]
    mixed = square * (0.5 + 0.1 * strong) + _HEAT(smooth)[..., :3] * 255 * 0.4 * strong
    return mixed.astype(np.uint8)


def reasons(answerer: Answerer, image: Photograph | None, question: str) -> Reasons:
    """What counted for the first answer to a question about a photograph.

    Raises:
        InputError: as `Answerer.answer`.
    """
    first = answerer.answer(image, question)[0]
    every = len(answerer.answers)

    def fall(images: list, questions: list[str]) -> np.ndarray:
        """How much less probable the answer is now, (N,)."""
        given = answerer.answer(images, questions, most=every)
        chances = [{a.text: a.probability for a in each}[first.text] for each in given]
        return first.probability - np.array(chances)

    square = places = None
    if answerer.model.vision is not None:
        square = load_square(opened(image), answerer.config["image_size_px"])
        covered = [_covered(square, *divmod(place, PLACES)) for place in range(PLACES**2)]
        places = fall(covered, [question] * len(covered)).reshape(PLACES, PLACES)
    words = re.findall(r"\S+", question) if answerer.model.language is not None else []
    between = " " if len(words) > 1 else ""
    words = words if between or not words else tokenize(question)  # of scripts without spaces
    if len(words) > 1:
        shorter = [between.join(words[:i] + words[i + 1 :]) for i in range(len(words))]
        without = fall([image] * len(words), shorter).tolist()
    else:
        words, without = [], []
    return Reasons(question, first.text, first.probability, square, places, words, without)


def _covered(square: np.ndarray, row: int, column: int) -> Image.Image:
    """The square with one of P x P places in its mean colour."""
    edges = np.linspace(0, len(square), PLACES + 2).round().astype(int)
    picture = square.copy()
    area = slice(edges[row], edges[row + 2]), slice(edges[column], edges[column + 2])
    picture[area] = square.mean(axis=(0, 1))
    return Image.fromarray(picture)


# ---------------------------------------------------------------- over a split


def changes(
    answerer: Answerer, dataset: Dataset, split: str, stores: Path | None = None, seed: int = 0
) -> pd.DataFrame:
    """How often the first answer changes, of the questions of a split, when something is taken away, and
    when nothing that matters is changed.

    * photograph: each question is asked of another question's photograph.
    * nouns: the nouns of each question are left out (textblob's tagger; questions without any are
      left out of the count).
    * light and frame: each photograph is a tenth brighter and loses a thirtieth at each edge; of
      1,000 questions at most, drawn by chance.
    * wording: each question opens with other words that ask the same (`REWORDED`; questions that
      open otherwise are left out of the count).

    A model that looks and reads changes many answers in the first two rows and few in the others.

    Returns:
        One row each: what was changed, questions, and the share of answers that changed, in percent;
        of nouns none, and a line in the log, where the tagger's package is missing.
    """
    table = dataset.splits[split].reset_index(drop=True)
    draw = np.random.default_rng(seed)
    before = answerer.predict(table, dataset.images, stores=stores, most=1)
    rows = []

    def count(
        what: str, asked: pd.Series, other: pd.DataFrame, images=dataset.images, stores=stores
    ) -> None:
        """Of the questions that `asked` holds true for, asked again as `other` has them."""
        again = answerer.predict(other[asked], images, stores=stores, most=1) if asked.any() else []
        were = [before[row][0].text for row in np.flatnonzero(asked)]
        changed = [a != b[0].text for a, b in zip(were, again, strict=True)]
        share = round(100 * np.mean(changed), 1) if changed else np.nan
        rows.append({"changed": what, "questions": len(changed), "other answer": share})

    questions = table["question"]
    if answerer.model.vision is not None:
        drawn = table.assign(image_id=draw.permutation(table["image_id"].to_numpy()))
        count("photograph", drawn["image_id"] != table["image_id"], drawn)
    if answerer.model.language is not None and (tagger := _tagger()):
        masked = [_without_nouns(question, tagger.tag) for question in questions]
        count("nouns", questions != masked, table.assign(question=masked))
    if answerer.model.vision is not None:
        few = table["image_id"].isin(dataset.images)
        few &= table.index.isin(draw.permutation(np.flatnonzero(few))[:MOST_NUDGED])
        size_px = answerer.config["image_size_px"]
        nudged = {i: _nudged(dataset.images[i], size_px) for i in set(table["image_id"][few])}
        count("light and frame", few, table, nudged, None)
    if answerer.model.language is not None:
        reworded = questions.map(_reworded)
        count("wording", questions != reworded, table.assign(question=reworded))
    return pd.DataFrame(rows, columns=["changed", "questions", "other answer"])


def _nudged(image: Photograph, size_px: int) -> Image.Image:
    """A tenth brighter, cropped by a thirtieth at each edge; black if it cannot be read."""
    try:
        square = Image.fromarray(load_square(opened(image), size_px))
    except BadImage:
        return Image.new("RGB", (size_px, size_px))
    edge = round(size_px / 30)
    near = square.crop((edge, edge, size_px - edge, size_px - edge)).resize(square.size)
    return ImageEnhance.Brightness(near).enhance(1.1)


def _reworded(question: str) -> str:
    """The question with an opening that asks the same; itself where none is known."""
    for opening, other in REWORDED.items():
        if re.match(rf"{opening}\b", question, re.IGNORECASE):
            return other + question[len(opening) :]
    return question


def _tagger():  # -> textblob.en.taggers.PatternTagger | None
    try:
        from textblob.en.taggers import PatternTagger
    except ImportError:
        log.warning("nouns are found by textblob; pip install 'vqa-helpers[why]'")
        return None
    return PatternTagger()


def _without_nouns(question: str, tag: Callable[[str], list[tuple[str, str]]]) -> str:
    nouns = {word.lower() for word, kind in tag(question) if kind.startswith("NN")}
    kept = [word for word in question.split() if word.strip("?,.!'\"").lower() not in nouns]
    return " ".join(kept) or question
