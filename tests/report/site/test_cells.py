"""Cells of tables: what is a number, and what must not be broken."""

import pytest

from vqa_helpers.report.site.cells import is_numeric, mark_cells

bs4 = pytest.importorskip("bs4")


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "-3.5",
        "1,200",
        "53.8 [48.7, 58.2]",
        "[42.1, 45.0]",
        "+20.9",
        "99.3 %",
        "−0.4 [−1.0, 2.0]",
    ],
)
def test_numbers(text: str) -> None:
    assert is_numeric(text)


@pytest.mark.parametrize("text", ["", "–", "1.e", "better +3.1 [+1.0, +5.2]", "a 1", "2 [a, b]"])
def test_other_cells(text: str) -> None:
    assert not is_numeric(text)


def marked(rows: list[list[str]]) -> "bs4.Tag":
    head = "".join(f"<th>{cell}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows[1:])
    soup = bs4.BeautifulSoup(f"<table><thead><tr>{head}</tr></thead>{body}</table>", "html.parser")
    mark_cells(soup.table)
    return soup.table


def test_columns_of_numbers_are_told_from_the_others() -> None:
    table = marked([["name", "top-1", "text"], ["a", "53.8 [48.7, 58.2]", "x" * 40],
                    ["b", "not defined", "1"]])  # fmt: skip
    classes = [[cell.get("class", []) for cell in row.find_all(["td", "th"])]
               for row in table.find_all("tr")]  # fmt: skip
    assert classes == [
        [[], ["num"], []],
        [["short"], ["num"], ["long"]],
        [["short"], ["short", "num"], ["num"]],
    ]


def test_intervals_inside_text_are_kept_whole() -> None:
    table = marked([["test top-1"], ["better +3.1 [+1.0, +5.2], then 2.0 [1.0, 3.0] &lt;b&gt;"]])
    assert [span.get_text() for span in table.find_all("span", class_="keep")] == [
        "top-1", "better +3.1 [+1.0, +5.2]", "2.0 [1.0, 3.0]",
    ]  # fmt: skip
    assert table.td.get_text() == "better +3.1 [+1.0, +5.2], then 2.0 [1.0, 3.0] <b>"
    assert table.find("b") is None
