"""The official normalisation of answers, and types of questions: pure functions on strings.

The tables are those of the evaluation code published with the VQA dataset (Antol et al., 2015;
Goyal et al., 2017). Knows nothing of files, data tables or vocabularies.
"""

import json
import re
from functools import lru_cache
from pathlib import Path

NORMALISERS = ("2021", "2015")

ARTICLES = frozenset({"a", "an", "the"})

PUNCTUATION = tuple(';/[]"{}()=+\\_-><@`,?!')  # in the order the official code removes them

# The 65 question types of VQA v1 and v2 on COCO, the catch-all last; and words that annotators
# typed without their apostrophe (the capitalised ones never match: words are lower-cased first).
_TABLES = json.loads(Path(__file__).with_name("official.json").read_text(encoding="utf-8"))
QUESTION_TYPES: tuple[str, ...] = tuple(_TABLES["question_types"])
CONTRACTIONS: dict[str, str] = _TABLES["contractions"]
NUMBER_WORDS: dict[str, str] = _TABLES["number_words"]

_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
# The official code passes a flag where `re.sub` expects a count, and 32 is that flag's value.
_PERIODS_AT_MOST = 32
_TYPES = frozenset(QUESTION_TYPES[:-1])
_LONGEST_TYPE = max(map(len, map(str.split, _TYPES)))


def question_type_of(question: str) -> str:
    """The longest of the 65 official types that begins the question, else "none of the above"."""
    words = question.lower().rstrip(" ?").split()[:_LONGEST_TYPE]
    for count in range(len(words), 0, -1):
        beginning = " ".join(words[:count])
        if beginning in _TYPES:
            return beginning
    return QUESTION_TYPES[-1]


def answer_type_of(answer: str) -> str:
    """The official answer type, "yes/no", "number" or "other", as the answer itself tells it."""
    if answer.lower() in ("yes", "no"):
        return "yes/no"
    return "number" if re.fullmatch(r"\d+([.,]\d+)?", answer) else "other"


def clean_white_space(answer: str) -> str:
    """New lines and tabs become spaces; the ends are stripped."""
    return answer.replace("\n", " ").replace("\t", " ").strip()


@lru_cache(maxsize=1 << 18)
def strip_punctuation(answer: str) -> str:
    """The official punctuation step.

    A mark that touches a space anywhere in the answer is deleted, as are all marks when the answer
    holds digit-comma-digit; any other mark becomes a space. Then every period not followed by a
    digit goes.
    """
    digits = _DIGIT_COMMA_DIGIT.search(answer) is not None
    stripped = answer
    for mark in PUNCTUATION:
        if mark in answer:
            touches_space = f"{mark} " in answer or f" {mark}" in answer
            stripped = stripped.replace(mark, "" if digits or touches_space else " ")
    return _PERIOD.sub("", stripped, count=_PERIODS_AT_MOST)


@lru_cache(maxsize=1 << 18)
def unify_words(answer: str) -> str:
    """The official word step: number words to digits, articles dropped, apostrophes restored."""
    words = (NUMBER_WORDS.get(word, word) for word in answer.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def normalise(answer: str) -> str:
    """Both official steps, punctuation first."""
    return unify_words(strip_punctuation(answer))
