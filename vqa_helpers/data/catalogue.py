"""The named datasets, as data: what each is, where it comes from and by which rule it is cut.

No input, no output.
"""

from dataclasses import dataclass
from typing import Literal

Answers = Literal["numbers 1-20", "yes/no", "open"]
Rule = Literal["by-image", "study"]

RULES: tuple[Rule, ...] = ("by-image", "study")

RELEASES = {"v1": "", "v2": "v2_"}  # to what its official file names begin with
# The subsets of COCO that a release asks about, one file each. The answers of the first two are
# published: learn on one, report on the other, as papers without a server submission do. Those of
# the third only the evaluation server knows.
SUBSETS = ("train2014", "val2014", "test2015")


@dataclass(frozen=True)
class Cut:
    """A rule that cuts a dataset from a larger one.

    Attributes:
        answers: which questions qualify, by their target answer.
        questions: how many are drawn at random; None takes all, in the order of the file.
        shares: train, validation, test.
    """

    answers: Answers
    questions: int | None
    shares: tuple[float, float, float]
    source: str


# The study cut A-E for training and validation alone; of the quarter it held out, a fifth is for
# choosing the epoch and the rest for the test, in the proportions of its own largest dataset.
_SHARES = (0.75, 0.05, 0.20)

CUTS = {
    "A": Cut("numbers 1-20", 100, _SHARES, "reference study, dataset A"),
    "B": Cut("numbers 1-20", 1_000, _SHARES, "reference study, dataset B"),
    "C": Cut("numbers 1-20", 5_000, _SHARES, "reference study, dataset C"),
    "D": Cut("numbers 1-20", 10_000, _SHARES, "reference study, dataset D"),
    "E": Cut("yes/no", 10_000, _SHARES, "reference study, dataset E"),
    "100k": Cut("open", None, _SHARES, "reference study, dataset 100k: all of VQA v1 val2014"),
}
CUT_FROM = ("v1", ("val2014",))  # what the study cut all of them from

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
    release: str | None = None
    subsets: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    licence: str = "questions CC BY 4.0; images Flickr's"


_TRAIN, _VAL = "coco-train2014", "coco-val2014"

ENTRIES = {
    DEMO: Entry(
        "drawn scenes with questions about them; made on this machine in seconds", 4_500, 1_500,
        licence="this project's own",
    ),
    "A": Entry("100 questions with the answers 1 to 20", 100, 100, *CUT_FROM),
    "B": Entry("1,000 questions with the answers 1 to 20", 1_000, 1_000, *CUT_FROM),
    "C": Entry("5,000 questions with the answers 1 to 20", 5_000, 5_000, *CUT_FROM),
    "D": Entry("10,000 questions with the answers 1 to 20", 10_000, 10_000, *CUT_FROM),
    "E": Entry("10,000 yes/no questions", 10_000, 10_000, *CUT_FROM),
    "100k": Entry("every question of VQA v1 val2014", 121_512, 40_504, *CUT_FROM, (_VAL,)),
    "v1": Entry(
        "VQA v1: train2014, reported on val2014", 369_861, 123_287, "v1", SUBSETS[:2], (_TRAIN, _VAL)
    ),
    "v2": Entry(
        "VQA v2: train2014, reported on val2014", 658_111, 123_287, "v2", SUBSETS[:2], (_TRAIN, _VAL)
    ),
    DAQUAR: Entry(
        "photographs of rooms, one human answer a question", 12_468, 1_449, DAQUAR,
        archives=("daquar-images",), licence="not stated",
    ),
}  # fmt: skip
