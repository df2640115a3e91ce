"""JSON to dataclasses: the same values and the same words with msgspec and in plain Python."""

import sys
from dataclasses import dataclass, field

import pytest

from vqa_helpers.data.decode import DecodeError, decode, decode_entries


@dataclass
class Leaf:
    id: int
    text: str
    note: str | None = None


@dataclass
class Tree:
    leaves: list[Leaf]
    more: list[Leaf] | None = None
    tags: list[str] = field(default_factory=list)


@pytest.fixture(params=["msgspec", "plain"])
def decoder(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "msgspec", None)  # `import msgspec` then fails
    else:
        pytest.importorskip("msgspec", reason="not part of every installation")
    return request.param


def message(text, shape=Tree):
    with pytest.raises(DecodeError) as caught:
        decode(text.encode("utf-8") if isinstance(text, str) else text, shape)
    return str(caught.value)


def test_values_arrive_and_defaults_fill_the_rest(decoder):
    text = '{"other": [1.5, null], "leaves": [{"id": -3, "text": "ü", "extra": {}}], "more": null}'
    assert decode(text.encode(), Tree) == Tree([Leaf(-3, "ü", None)], None, [])
    assert decode(b'[{"id": 1, "text": "", "note": "n"}]', list[Leaf]) == [Leaf(1, "", "n")]


def test_an_integer_beyond_64_bits_arrives_whole(decoder):
    assert decode(b'{"id": 18446744073709551616, "text": ""}', Leaf).id == 2**64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", "Expected `object`, got `array`"),
        ("null", "Expected `object`, got `null`"),
        ("{}", "Object missing required field `leaves`"),
        ('{"leaves": {}}', "leaves: Expected `array`, got `object`"),
        ('{"leaves": null}', "leaves: Expected `array`, got `null`"),
        ('{"leaves": [7]}', "leaves[0]: Expected `object`, got `int`"),
        (
            '{"leaves": [{"id": 1, "text": "a"}, {"id": 1}]}',
            "leaves[1]: Object missing required field `text`",
        ),
        ('{"leaves": [{"id": "1", "text": "a"}]}', "leaves[0].id: Expected `int`, got `str`"),
        ('{"leaves": [{"id": 1.0, "text": "a"}]}', "leaves[0].id: Expected `int`, got `float`"),
        ('{"leaves": [{"id": true, "text": "a"}]}', "leaves[0].id: Expected `int`, got `bool`"),
        ('{"leaves": [{"id": null, "text": "a"}]}', "leaves[0].id: Expected `int`, got `null`"),
        ('{"leaves": [{"id": 1, "text": 5}]}', "leaves[0].text: Expected `str`, got `int`"),
        (
            '{"leaves": [{"id": 1, "text": "a", "note": 5}]}',
            "leaves[0].note: Expected `str | null`, got `int`",
        ),
        ('{"leaves": [], "more": 5}', "more: Expected `array | null`, got `int`"),
        ('{"leaves": [], "more": [{}]}', "more[0]: Object missing required field `id`"),
        ('{"leaves": [], "tags": ["a", 1]}', "tags[1]: Expected `str`, got `int`"),
    ],
)
def test_the_wrong_shape_is_named_by_its_place_in_the_same_words(decoder, text, expected):
    assert message(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"leaves": [],}',
        '{"leaves": []} and more',
        '{"leaves": [], "x": NaN}',
        '{"leaves": [], "x": -Infinity}',
        "{'leaves': []}",
        '{"leaves": [{"id": 01, "text": ""}]}',
        '\ufeff{"leaves": []}',
        '{"leaves": []}'.encode("utf-16"),
        b"\x00\x01\x02",
        b"PK\x03\x04",
    ],
)
def test_text_that_is_not_json_is_malformed(decoder, text):
    assert message(text).startswith("JSON is malformed: ")


def test_bytes_that_are_not_utf8_are_refused(decoder):
    assert "can't decode byte 0xff" in message(b'{"leaves": [{"id": 1, "text": "\xff"}]}')


@pytest.mark.parametrize(
    "text",
    [
        '{"leaves": [{"id": 1, "text": "\\ud800"}]}',  # half a character: no file could hold it
        '{"leaves": [{"id": ' + "1" * 5000 + ', "text": "a"}]}',
        '{"leaves": ["',
        "",
    ],
)
def test_other_oddities_are_decode_errors_too(decoder, text):
    assert message(text)


def test_a_bottomless_nest_is_refused_without_a_crash(decoder):
    assert message('{"x": ' + "[" * 200_000) == "JSON is malformed: nested too deeply"


def test_both_halves_of_a_surrogate_pair_are_one_character(decoder):
    text = b'{"id": 1, "text": "\\ud83d\\ude00"}'
    assert decode(text, Leaf).text == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"a": 1, "leaves": [{"id": 1, "text": "a"}, {"id": 2, "text": "b", "x": []}]}', "leaves"),
        ('[{"id": 1, "text": "a"}, {"id": 2, "text": "b", "note": null}]', None),
    ],
)
def test_entries_arrive_one_by_one(decoder, text, field):
    assert list(decode_entries(text.encode(), field, Leaf)) == [Leaf(1, "a"), Leaf(2, "b")]


def test_a_broken_entry_names_all_its_faults_and_hides_no_other(decoder):
    text = b"""{"leaves": [{"id": "1", "text": null, "note": 5}, 7, {"id": 3, "text": "c"},
        {"note": "n"}, {"id": 5, "text": "e"}]}"""
    first, second, third, fourth, fifth = decode_entries(text, "leaves", Leaf)
    assert str(first) == first.faults[0] == "leaves[0].id: Expected `int`, got `str`"
    assert first.faults[1:] == [
        "leaves[0].text: Expected `str`, got `null`",
        "leaves[0].note: Expected `str | null`, got `int`",
    ]
    assert second.faults == ["leaves[1]: Expected `object`, got `int`"]
    assert third == Leaf(3, "c") and fifth == Leaf(5, "e")
    assert fourth.faults == [
        "leaves[3]: Object missing required field `id`",
        "leaves[3]: Object missing required field `text`",
    ]


def test_the_list_without_a_name(decoder):
    (error,) = decode_entries(b'[{"id": 1}]', None, Leaf)
    assert str(error) == "[0]: Object missing required field `text`"


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("[]", "leaves", "Expected `object`, got `array`"),
        ("{}", "leaves", "Object missing required field `leaves`"),
        ('{"leaves": 1}', "leaves", "leaves: Expected `array`, got `int`"),
        ("{}", None, "Expected `array`, got `object`"),
        ('{"leaves": [}', "leaves", "JSON is malformed: "),
        ('{"leaves": [' + "[" * 200_000, "leaves", "JSON is malformed: nested too deeply"),
    ],
)
def test_no_list_is_refused_before_the_first_entry(decoder, text, field, expected):
    with pytest.raises(DecodeError) as caught:
        decode_entries(text.encode(), field, Leaf)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("text", [b'"\\ud800"', b'"\xff"', b'"a', b"01", b"NaN", b'"\\x"'])
def test_oddities_within_an_entry_are_refused_in_one_way_or_the_other(decoder, text):
    """Before the first entry or as that entry: what is no text or number never arrives."""
    whole = b'[{"id": 1, "text": "a"}, {"id": ' + text + b', "text": ' + text + b"}]"
    try:
        sound, broken = decode_entries(whole, None, Leaf)
    except DecodeError as error:
        assert str(error)
    else:
        assert sound == Leaf(1, "a") and isinstance(broken, DecodeError)
