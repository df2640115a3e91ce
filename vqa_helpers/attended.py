"""Where a model with attention looked: how much each place of the photograph and each word counted.

The shares are the model's own. They show what it attends to, not what its answer depends on; for
that see `why`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from vqa_helpers.answering import Answerer, Photograph, opened
from vqa_helpers.data.vocabulary import tokenize
from vqa_helpers.errors import InputError
from vqa_helpers.features.pixels import load_square
from vqa_helpers.pieces.networks import DETECTORS
from vqa_helpers.report.style import styled
from vqa_helpers.why import draw_panels, highlighted

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Attended:
    """What a model attended to when it read one question.

    Attributes:
        places: (P, P) the share of each place of the photograph; None where it attends to none.
        words: (T,) the share of each word; None where it attends to none.
    """

    places: np.ndarray | None
    words: np.ndarray | None

    def share_inside(self, box: Box) -> float:
        """The share on a box: left, top, right and bottom as shares of the photograph's side. A place
        that the box cuts counts by the part of it that is inside."""
        edges = np.linspace(0, 1, len(self.places) + 1)
        across, down = (
            np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
            for low, high in (box[::2], box[1::2])
        )
        return float((self.places * np.outer(down, across)).sum() * len(self.places) ** 2)


def attended(
    answerer: Answerer,
    table: pd.DataFrame,
    images: Mapping[int, Photograph],
    *,
    stores: Path | None = None,
) -> list[Attended]:
    """What a model attends to for each question of a dataset's table, as `Answerer.predict` takes it.

    Raises:
        InputError: for a model without attention.
    """
    model = answerer.model
    vision, language, fusion = model.vision, model.language, model.fusion
    places_of = getattr(fusion, "place_shares", None)
    if getattr(vision, "network", None) in DETECTORS:
        places_of = None  # regions of a detector: where they are is not kept
    if not (places_of or hasattr(fusion, "word_shares") or hasattr(language, "word_shares")):
        raise InputError(
            f"{type(fusion).__name__} attends to no place of a grid and to no word; `reasons` of "
            "vqa_helpers.why says what counted for any model"
        )
    model.eval()
    found = []
    with torch.inference_mode():
        for batch in answerer.batches(table, images, stores).in_order():
            seen = None if vision is None else vision(batch.image)
            asked = None if language is None else language(*batch.question)
            places = words = [None] * len(batch)
            if places_of:
                side = int(seen.shape[1] ** 0.5)
                places = places_of(seen, asked).reshape(-1, side, side).cpu().numpy()
            if hasattr(language, "word_shares"):
                words = language.word_shares(*batch.question)
            elif hasattr(fusion, "word_shares"):
                words = fusion.word_shares(seen, asked)
            if torch.is_tensor(words):
                lengths = batch.question[1].tolist()
                words = [row[:n].cpu().numpy() for row, n in zip(words, lengths, strict=True)]
            found += [Attended(*pair) for pair in zip(places, words, strict=True)]
    return found


@styled
def draw_attention(answerer: Answerer, image: Photograph | None, question: str) -> Figure:
    """The photograph, where the model looked, and at which words; for a blind model only the words.

    Raises:
        InputError: for a model without attention, and as `Answerer.answer`.
    """
    first = answerer.answer(image, question)[0]
    table = pd.DataFrame({"question_id": [0], "image_id": [0], "question": [question]})
    seen = answerer.model.vision is not None
    (looked,) = attended(answerer, table, {0: opened(image)} if seen else {})
    pictures, words = {}, []
    if seen:
        square = load_square(opened(image), answerer.config["image_size_px"])
        pictures["what the model saw"] = square
    if looked.places is not None:
        title = f"where it looked: {100 * looked.places.max():.0f} % at most"
        pictures[title] = highlighted(square, looked.places / looked.places.max())
    if looked.words is not None:
        words = tokenize(question)[: len(looked.words)]
    shares = [] if looked.words is None else looked.words[: len(words)]
    label = "share of the attention in %"
    return draw_panels(pictures, words, shares, label, question, first.text, first.probability)
