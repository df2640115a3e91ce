"""The front page: what a newcomer reads is computed, escaped, and says when there is nothing."""

import numpy as np

from tests.report import samples
from vqa_helpers.report.interesting import Example
from vqa_helpers.report.site.front import front_page
from vqa_helpers.report.site.pages import Page
from vqa_helpers.report.tables import results_table

HOSTILE = "<script>1</script>"


def page(name: str, **changes) -> Page:
    fields = dict(title=name, summary="", sections=(), body="", across=False, failure="")
    return Page(name, **{**fields, **changes})


def test_with_nothing_it_says_so(tmp_path) -> None:
    text = front_page(results_table(tmp_path), [], tmp_path, [])
    assert "No finished runs yet" in text
    assert "findings" not in text and 'id="examples"' not in text
    assert text.count("<path") == 4  # the puzzle is always there


def test_figures_findings_and_table_follow_the_runs(tmp_path) -> None:
    for preset, share in (("1.b", 0.3), ("GUSE_VGG", 0.6)):
        samples.write_run(
            tmp_path, preset, predictions=samples.answered_rows(share),
            metrics=samples.metrics(100 * share, vqa=60.0),
        )  # fmt: skip
    pages = [page("GUSE_VGG"), page("1.b", failure="KeyError"), page("All", across=True)]
    text = front_page(results_table(tmp_path), pages, tmp_path, [])
    assert "<b>60.0 %</b>the best of 2 runs, GUSE_<wbr>VGG" in text
    assert "<b>41.0 %</b>the best guess without looking" in text
    assert "<b>GUSE_VGG</b> scores highest" in text
    assert text.index("GUSE_<wbr>VGG</a>") < text.index("1.b</a>")  # best first
    assert '<span class="chip">60.0 %</span><a href="GUSE_VGG.html">' in text
    assert '<span class="chip failed">failed</span><a href="1.b.html">' in text
    assert text.index("Across all runs") < text.index("One by one")


def test_what_is_shown_of_a_question_is_escaped(tmp_path) -> None:
    example = Example(
        HOSTILE, "miss", HOSTILE, HOSTILE, HOSTILE, (HOSTILE, "b"), (0.999, 0.001),
        np.zeros((4, 4, 3), dtype=np.uint8),
    )  # fmt: skip
    text = front_page(results_table(tmp_path), [page("x", title=HOSTILE, summary=HOSTILE)],
                      tmp_path, [example])  # fmt: skip
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 6
    assert "&gt;99 %" in text and "&lt;1 %" in text
    assert 'src="data:image/jpeg;base64,' in text
