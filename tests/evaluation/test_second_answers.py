"""The remark on counting: shown where it is so, not shown where it is not."""

import numpy as np
import pandas as pd

from tests.evaluation.test_analysis import COLOUR, COUNT, judged
from vqa_helpers.evaluation.second_answers import second_answers

TRAIN = pd.DataFrame(
    {"question": ["How many cats?"] * 6 + ["Who?"], "answer": ["1"] * 3 + ["2"] * 2 + ["3", "7"]}
)


def test_a_second_place_that_knows_more_than_frequency_is_told():
    rows = [(*COUNT, str(4 + n % 5), [str(3 + n % 5), str(4 + n % 5)]) for n in range(40)]
    rows += [(*COLOUR, "red", ["blue", "grey", "red"])] * 40
    test = second_answers(judged(*rows), TRAIN)
    assert (test.misses, test.others, test.told) == (40, 40, 40)
    assert test.second["value"] == 100 and test.guess["value"] == 0
    assert test.often == "better" and test.falls_short == "better"
    assert test.elsewhere["value"] == 0 and test.over_elsewhere.verdict == "better"


def test_a_second_place_by_frequency_alone_is_not():
    # The first answer is the most frequent count, the second the next one: both know no image.
    truths = np.random.default_rng(0).choice(["2", "3", "4"], 60, p=[0.5, 0.3, 0.2])
    rows = [(*COUNT, truth, ["1", "2", "3"]) for truth in truths]
    test = second_answers(judged(*rows), TRAIN)
    assert test.gain.value == 0 and test.often == "cannot tell"
    assert test.second == test.guess
    assert test.elsewhere is None and test.over_elsewhere is None


def test_first_answers_that_are_too_high_do_not_fall_short():
    rows = [(*COUNT, "2", ["5", "2"])] * 30
    test = second_answers(judged(*rows), TRAIN)
    assert test.short["value"] == 0 and test.falls_short == "worse"


def test_few_misses_give_no_verdict():
    test = second_answers(judged(*[(*COUNT, "5", ["4", "5"])] * 5), TRAIN)
    assert test.second["value"] == 100
    assert test.often == test.falls_short == "cannot tell"


def test_no_missed_count_no_test():
    assert second_answers(judged((*COUNT, "2", ["2"]), (*COLOUR, "red", ["blue"])), TRAIN) is None
