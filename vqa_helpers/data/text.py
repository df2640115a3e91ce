"""Words of questions, and the official normalisation of answers: pure functions on strings.

The tables are those of the evaluation code published with the VQA dataset (Antol et al., 2015; Goyal
et al., 2017). Knows nothing of files, data tables or vocabularies.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

NORMALISERS = ("2021", "2015")

# The 65 question types of VQA v1 and v2 on COCO, the catch-all last.
# fmt: off
QUESTION_TYPES = (
    "how many", "is the", "what", "what color is the", "what is the", "is this", "is this a",
    "what is", "are the", "what kind of", "is there a", "what type of", "is it", "what are the",
    "where is the", "is there", "does the", "what color are the", "are these", "are there",
    "which", "is", "what is the man", "is the man", "are", "how", "does this", "what is on the",
    "what does the", "how many people are", "what is in the", "what is this", "do", "what are",
    "are they", "what time", "what sport is", "are there any", "is he", "what color is", "why",
    "where are the", "what color", "who is", "what animal is", "is the woman", "is this an",
    "do you", "how many people are in", "what room is", "has", "is this person",
    "what is the woman", "can you", "why is the", "is the person", "what is the color of the",
    "what is the person", "could", "was", "is that a", "what number is", "what is the name",
    "what brand", "none of the above",
)
# fmt: on

NUMBER_WORDS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip

ARTICLES = frozenset({"a", "an", "the"})

PUNCTUATION = tuple(';/[]"{}()=+\\_-><@`,?!')  # in the order the official code removes them

# Words that annotators typed without their apostrophe, and how else the official table spells them
# (its capitalised ones never match: words are lower-cased first).
_APOSTROPHES = """
    ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's
    how'd how'll how's I'm I've isn't it'd it'll ma'am mightn't might've mustn't must've needn't
    not've o'clock oughtn't shan't should've shouldn't somebody'll somebody's someone'd
    someone'll someone's something'd something'll that's there'd there're there's they'd they'll
    they're they've 'twas wasn't we've weren't what'll what're what's what've when's where'd
    where's where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all
    you'd you'll you're you've
""".split()
CONTRACTIONS = {word.replace("'", ""): word for word in _APOSTROPHES} | {
    "couldn'tve": "couldn't've", "couldnt've": "couldn't've", "hadnt've": "hadn't've",
    "hadn'tve": "hadn't've", "hed've": "he'd've", "he'dve": "he'd've", "Id've": "I'd've",
    "I'dve": "I'd've", "itd've": "it'd've", "it'dve": "it'd've", "let's": "let's",
    "mightnt've": "mightn't've", "mightn'tve": "mightn't've", "ow's'at": "'ow's'at",
    "'ows'at": "'ow's'at", "'ow'sat": "'ow's'at", "shed've": "she'd've", "she'dve": "she'd've",
    "she's": "she's", "shouldnt've": "shouldn't've", "shouldn'tve": "shouldn't've",
    "somebody'd": "somebodyd", "somebodyd've": "somebody'd've", "somebody'dve": "somebody'd've",
    "someoned've": "someone'd've", "someone'dve": "someone'd've",
    "somethingd've": "something'd've", "something'dve": "something'd've",
    "thered've": "there'd've", "there'dve": "there'd've", "theyd've": "they'd've",
    "they'dve": "they'd've", "wed've": "we'd've", "we'dve": "we'd've", "whod've": "who'd've",
    "who'dve": "who'd've", "wouldnt've": "wouldn't've", "wouldn'tve": "wouldn't've",
    "yall'll": "y'all'll", "y'allll": "y'all'll", "yall'd've": "y'all'd've",
    "y'alld've": "y'all'd've", "y'all'dve": "y'all'd've", "youd've": "you'd've",
    "you'dve": "you'd've",
}  # fmt: skip

# Clitics stand apart, as in the corpora that GloVe was trained on: "isn't" is "is" + "n't",
# "what's" is "what" + "'s".
_WORD = re.compile(r"n't\b|'(?:s|re|ve|ll|d|m)\b|[^\W_]+?(?=n't\b)|[^\W_]+")
_MARKS_AS_SPACES = "".join(c if c.isalnum() else " " for c in map(chr, range(128)))
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
# The official code passes a flag where `re.sub` expects a count, and 32 is that flag's value.
_PERIODS_AT_MOST = 32
_TYPES = frozenset(QUESTION_TYPES[:-1])
_LONGEST_TYPE = max(len(kind.split()) for kind in _TYPES)


def tokenize(question: str) -> list[str]:
    """The lower-cased words of a question, in order, without punctuation."""
    text = question.lower().replace("’", "'")
    if text.isascii() and "'" not in text:  # as most are: the same words without the expression
        return text.translate(_MARKS_AS_SPACES).split()
    return _WORD.findall(text)


def tokenize_all(questions: Iterable[str]) -> list[tuple[str, ...]]:
    """The words of each question; a question asked again shares the words of the first."""
    known: dict[str, tuple[str, ...]] = {}
    once: dict[str, str] = {}  # one copy of each word: less memory, and its hash is at hand
    rows = []
    for text in questions:
        words = known.get(text)
        if words is None:
            words = tuple([once.setdefault(word, word) for word in tokenize(text)])
            known[text] = words
        rows.append(words)
    return rows


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
