"""JSON to checked objects, and what is wrong named by its place."""

import msgspec
import pytest

from vqa_helpers.data.json_files import DecodeError, decode, decode_entries


class Leaf(msgspec.Struct):
    id: int
    text: str
    note: str | None = None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", "Expected `object`, got `array`"),
        ('{"id": 1.0, "text": "a"}', "id: Expected `int`, got `float`"),
        ('{"x": ' + "[" * 200_000, "JSON is malformed: nested too deeply"),
    ],
)
def test_the_wrong_shape_is_named_by_its_place(text, expected):
    with pytest.raises(DecodeError) as caught:
        decode(text.encode(), Leaf)
    assert str(caught.value) == expected


def test_entries_arrive_one_by_one():
    entries = b'[{"id": 1, "text": "a"}, {"id": 2, "text": "b", "note": null, "x": []}]'
    for text, field in ((entries, None), (b'{"a": 1, "leaves": ' + entries + b"}", "leaves")):
        assert list(decode_entries(text, field, Leaf)) == [Leaf(1, "a"), Leaf(2, "b")]
    lines = b'{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}\n'
    for text, field in ((entries, "leaves"), (lines, "leaves"), (lines, None)):
        assert list(decode_entries(text, field, Leaf)) == [Leaf(1, "a"), Leaf(2, "b")]
    for text, field, expected in (  # no list is refused before the first entry
        ("{}", None, "Expected `array`, got `object`"),
        ('{"leaves": [' + "[" * 200_000, "leaves", "JSON is malformed: nested too deeply"),
    ):
        with pytest.raises(DecodeError, match=expected):
            decode_entries(text.encode(), field, Leaf)


def test_a_broken_entry_names_all_its_faults_and_hides_no_other():
    text = b"""{"leaves": [{"id": "1", "text": null}, 7, {"id": 3, "text": "c"}, {"note": "n"},
        {"id": 1, "id": "x", "text": "d"}, {"id": 5, "text": "e"}]}"""
    first, second, third, fourth, fifth, last = decode_entries(text, "leaves", Leaf)
    assert str(first) == first.faults[0] == "leaves[0].id: Expected `int`, got `str`"
    assert first.faults[1:] == ["leaves[0].text: Expected `str`, got `null`"]
    assert second.faults == ["leaves[1]: Expected `object`, got `int`"]
    assert third == Leaf(3, "c") and last == Leaf(5, "e")
    missing = "leaves[3]: Object missing required field"
    assert fourth.faults == [f"{missing} `id`", f"{missing} `text`"]
    assert fifth.faults == ["leaves[4].id: Expected `int`, got `str`"]
