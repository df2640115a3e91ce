"""What the reference study published, per experiment: literal numbers, their data and caveats.

Source: the eleven notebooks and the README of the study (Colab, 2020), read once and typed in
here. Knows nothing of this project's own runs, and computes nothing.
"""

from dataclasses import dataclass

# Most headlines of the 100k runs are the best test epoch: the epoch was chosen on what it scores.
MAXIMUM = "test split, maximum over epochs"
HUNDRED_K = "100k of VQA v1"
THOUSAND = "tested on about 1,000 questions: about 3 points either way"
SORTED_WORDS = "its LSTM read the sorted set of a question's words; " + THOUSAND
ROW_SPLIT = "split by row, so an image can be on both sides"
NORMALISATION = "image features normalised in evaluation but not in training"
PLOT_ONLY = "shown as a plot, no number given"


@dataclass(frozen=True)
class Published:
    """One result of the study, top-1 in percent.

    Attributes:
        eval_top1: on the split that `split` names; None where only a plot was published.
        train_top1: on the training split; None where not published.
        data: the study's name of the data: A, B, C, D (numbers), E (yes/no) or 100k.
        split: what `eval_top1` was measured on.
        caveat: what to know before comparing with it.
    """

    eval_top1: float | None
    train_top1: float | None
    data: str
    split: str
    caveat: str


def _small(eval_top1: float | None, data: str, caveat: str = ROW_SPLIT) -> Published:
    """A result on one of the small sets A-E, whose training accuracy was not tabled."""
    return Published(eval_top1, None, data, "held-out rows", caveat)


def _100k(eval_top1: float, train_top1: float, caveat: str) -> Published:
    return Published(eval_top1, train_top1, HUNDRED_K, MAXIMUM, caveat)


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "Model100": (
        Published(
            24.8, 79.8, "B", "validation, 250 questions", "its first README swaps the two numbers"
        ),
        _small(35.0, "D", "about, from 7,500 training questions; " + ROW_SPLIT),
        _small(65.0, "E", "about, yes/no only; " + ROW_SPLIT),
    ),
    "1.b": (
        _small(None, "A", PLOT_ONLY + ", below 1.c"),
        _small(None, "C", PLOT_ONLY + ", below 1.c"),
    ),
    "1.c": (
        _small(None, "A", PLOT_ONLY + ", above 1.b"),
        _small(None, "C", PLOT_ONLY + ", above 1.b"),
    ),
    "1.e": (_small(34.0, "A"), _small(33.4, "C"), _small(34.0, "D")),
    "1.f": (
        _small(33.6, "A"),
        _small(33.68, "C"),
        _small(36.4, "D"),
        _small(68.0, "E", "yes/no only; averaged with D it quotes 52.2; " + ROW_SPLIT),
    ),
    "1.fB": (
        _small(None, "D", PLOT_ONLY + ", below 1.f"),
        _small(None, "E", PLOT_ONLY + ", below 1.f"),
    ),
    "1.fC": (
        _small(None, "D", PLOT_ONLY + "; it concludes that training vision helps"),
        _small(None, "E", PLOT_ONLY + "; it concludes that training vision helps"),
    ),
    "GUSE_VGG": (
        _100k(47.10, 79.42, "its notebook's own run reads 46.3 (train 71.0); " + NORMALISATION),
    ),
    "GUSE_ResNet": (_100k(44.00, 60.25, "its curve reaches 45.0; " + NORMALISATION),),
    "Original_VQA2015_VGG": (_100k(40.60, 71.90, "its curve reaches 40.7; " + SORTED_WORDS),),
    "Original_VQA2015_ResNet": (_100k(35.10, 61.87, "its curve reaches 36.7; " + SORTED_WORDS),),
    "Improved_VQA2015_VGG": (
        _100k(41.90, 86.23, "a later README reads 43.00 (train 85.17); " + SORTED_WORDS),
    ),
    "Improved_VQA2015_ResNet": (
        _100k(42.00, 85.83, "a later README reads 42.40 (train 84.67); " + SORTED_WORDS),
    ),
    "GloVe_VGG": (
        _100k(
            44.40,
            80.20,
            "its curve reaches 44.5, its analysis of 24,302 questions 43.6; " + NORMALISATION,
        ),
    ),
    "GloVe_ResNet": (_100k(43.70, 73.70, "its curve reaches 44.1; " + NORMALISATION),),
}
