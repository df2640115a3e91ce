"""The named datasets, as data: what each is and by which rule it is cut. No input, no output."""

from dataclasses import dataclass
from typing import Literal

Answers = Literal["numbers 1-20", "yes/no", "open"]


@dataclass(frozen=True)
class Cut:
    """A rule that cuts a dataset from a larger one.

    Attributes:
        answers: which questions qualify, by their target answer.
        questions: how many are drawn at random; None takes all.
        shares: train, validation, test.
    """

    answers: Answers
    questions: int | None
    shares: tuple[float, float, float]
    source: str


# The study cut A-E for training and validation alone; a fifth is kept for the test that an honest
# score needs, in the proportions of its own largest dataset.
_SHARES = (0.75, 0.05, 0.20)

CUTS = {
    "A": Cut("numbers 1-20", 100, _SHARES, "reference study, dataset A"),
    "B": Cut("numbers 1-20", 1_000, _SHARES, "reference study, dataset B"),
    "C": Cut("numbers 1-20", 5_000, _SHARES, "reference study, dataset C"),
    "D": Cut("numbers 1-20", 10_000, _SHARES, "reference study, dataset D"),
    "E": Cut("yes/no", 10_000, _SHARES, "reference study, dataset E"),
    "100k": Cut("open", None, _SHARES, "reference study, dataset 100k: all of VQA v1 val2014"),
}

DEMO = "demo"

ABOUT = {
    DEMO: "drawn scenes with questions about them; made on this machine in seconds",
    "A": "100 questions with the answers 1 to 20",
    "B": "1,000 questions with the answers 1 to 20",
    "C": "5,000 questions with the answers 1 to 20",
    "D": "10,000 questions with the answers 1 to 20",
    "E": "10,000 yes/no questions",
    "100k": "every question of VQA v1 val2014 (121,512)",
}
