"""The named datasets: what each is, where it comes from and by which rule it is cut.

`catalogue.json` beside this module lists them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import msgspec

Answers = Literal["numbers 1-20", "yes/no", "open"]
Rule = Literal["by-image", "study"]

RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class Cut:
    """A rule that cuts a dataset from a larger one.

    Attributes:
        answers: which questions qualify, by their target answer.
        questions: how many are drawn at random; None takes all, in the order of the file.
        shares: train, validation, test. The study cut A to E for training and validation alone; of
            the quarter it held out, a fifth is for choosing the epoch and the rest for the test, in
            the proportions of its own largest dataset.
    """

    answers: Answers
    questions: int | None
    shares: tuple[float, float, float]
    source: str


DEMO = "demo"
DAQUAR = "daquar"
DAQUAR_PAGE = (
    "https://www.mpi-inf.mpg.de/departments/computer-vision-and-machine-learning/research/"
    "vision-and-language/visual-turing-challenge"
)


@dataclass(frozen=True)
class Entry:
    """A named dataset, as a list shows it.

    Attributes:
        questions, images: how many; images at most, where questions are drawn.
        release: the public source of its questions; None for the embedded one.
        subsets: of COCO, that its photographs come from.
        archives: the public sources of all of these, where others fetch image by image.
    """

    about: str
    questions: int
    images: int
    licence: str
    release: str | None = None
    subsets: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()


_LISTED = json.loads(Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8"))
CUTS = msgspec.convert(_LISTED["cuts"], dict[str, Cut])
ENTRIES = msgspec.convert(_LISTED["entries"], dict[str, Entry])
