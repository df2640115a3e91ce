"""Question types and the official normalisation. Expected values were derived on paper from
the rules of the evaluation code, not from this code."""

import pytest

from vqa_helpers.data import text as official

RULES = {
    official.question_type_of: [  # the longest official beginning
        ("What color is the bus?", "what color is the"),
        ("What color is that bus?", "what color is"),
        ("What color was it?", "what color"), ("What?", "what"),
        ("HOW MANY people are in it?", "how many people are in"),
        ("How many people are there?", "how many people are"), ("How many cats?", "how many"),
        ("Whatever is it?", "none of the above"),  # "what" ends inside a word
        ("Can he swim?", "none of the above"), ("is   the\tcat in?", "is the"),
        ("", "none of the above"),
    ],
    official.answer_type_of: [
        ("yes", "yes/no"), ("NO", "yes/no"), ("yes it is", "other"), ("3", "number"),
        ("3.5", "number"), ("1,000", "number"), ("two", "other"), ("3 cats", "other"),
        ("", "other"), ("-1", "other"),
    ],
    official.clean_white_space: [
        ("a\nb", "a b"), ("a\tb", "a b"), ("\t yes\n", "yes"), ("a  b", "a  b"),
    ],
    official.strip_punctuation: [
        # A mark that touches no space becomes one, one that does is deleted.
        ("black/white", "black white"), ("black/ white", "black white"),
        ("black /white", "black white"), ("cat,dog", "cat dog"), ("cat, dog", "cat dog"),
        ("?", " "), ("what?", "what "), ("(left)", " left "), ("[a]{b}<c>", " a  b  c "),
        ('"hi"', " hi "), ("a;b=c+d\\e_f@g`h!i", "a b c d e f g h i"),
        ("a/b c/ d", "ab c d"),  # touching once deletes every one of its kind
        ("a/b-c d- e", "a bc d e"),  # each mark is judged on its own
        # Digit-comma-digit deletes every mark in the answer.
        ("1,000", "1000"), ("1,000 a/b", "1000 ab"), ("1, 000", "1 000"),
        ("it's", "it's"), ("10:30 & more", "10:30 & more"),  # these are no marks
        # A period before a digit stays.
        ("St. John", "St John"), ("3.5", "3.5"), ("a.5", "a.5"), (".5", ".5"), ("3.", "3"),
        ("u.s.a.", "usa"), ("...", ""), ("5.5.", "5.5"),
        ("." * 40, "." * 8),  # 32 at most: a flag stands where the official code means a count
        ("", ""), ("A/B", "A B"),  # upper case is left to the word step
    ],
    official.unify_words: [
        ("the cat", "cat"), ("A cat and An apple", "cat and apple"), ("the", ""),
        ("theatre", "theatre"), ("None", "0"), ("zero", "0"), ("one", "1"), ("Ten", "10"),
        ("eleven", "eleven"), ("twos", "twos"), ("dont", "don't"), ("Hes", "he's"),
        ("don't", "don't"), ("isnt it", "isn't it"), ("somebody'd", "somebodyd"),
        ("Im", "im"),  # the table's capitals can never match lower-cased words
        ("  two   the  dogs ", "2 dogs"), ("YES", "yes"),
    ],
    official.normalise: [
        ("Two dogs, the cat.", "2 dogs cat"),
        ("one-two", "1 2"),  # punctuation goes first and makes two words
        ("a/c", "c"), ("n.o.n.e.", "0"), ("-", ""),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [(rule, *case) for rule, cases in RULES.items() for case in cases],
)
def test_the_official_rules(rule, text, expected):
    assert rule(text) == expected
