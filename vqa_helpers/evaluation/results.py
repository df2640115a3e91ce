"""A results JSON: whether the evaluation server would accept it, and its score."""

import codecs
from pathlib import Path

import pandas as pd

from vqa_helpers.data.formats import QUESTION_NAME, Result, as_id, read_annotations, read_questions
from vqa_helpers.data.json_files import DecodeError, decode_entries, read_bytes
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.baselines import hits
from vqa_helpers.evaluation.metrics import Normaliser, by, normalised_hits, percent, vqa_scores
from vqa_helpers.evaluation.wups import measure_wups

SHAPE = 'a list of {"question_id": number, "answer": text} is expected'


def evaluate_results(
    questions: Path, annotations: Path, results: Path, normaliser: Normaliser = "2021"
) -> dict:
    """The official report: accuracy overall, per answer type and per question type, percent.

    Where a question has fewer than ten answers the VQA accuracy is not defined: those three are
    None. `top1` is the share of answers that are the target word for word, `top1_normalised` the share
    of those that are it after the official normalisation of both. What `measure_wups` gives stands
    beside them.

    Raises:
        InputError: for a malformed file, or results that `validate_results` refuses.
    """
    table = read_annotations(annotations, read_questions(questions))
    given = _read_valid(results, table, questions)
    answers = [given[number] for number in table["question_id"].tolist()]
    scores = vqa_scores(answers, table, normaliser)
    defined = scores is not None
    return {
        "overall": percent(scores) if defined else None,
        "per_answer_type": by(scores, table["answer_type"]) if defined else None,
        "per_question_type": by(scores, table["question_type"]) if defined else None,
        "top1": percent(hits(answers, table)),
        "top1_normalised": percent(normalised_hits(answers, table)),
        **measure_wups(answers, table),
        "questions": len(table),
        "normaliser": normaliser,
    }


def validate_results(path: Path, questions: Path) -> int:
    """Refuse a results file that the evaluation server would not accept; returns the number of
    answers.

    Raises:
        InputError: for anything but a list of objects with an integer `question_id` and a text
            `answer`, exactly one for every question of the file `questions`, in plain UTF-8. One
            line names the first of the offending entries and how many more there are.
    """
    answers = _read_valid(path, read_questions(questions), questions)
    # Three things that this package reads, and `json.load` on the server does not.
    if not read_bytes(path).lstrip().startswith(b"["):
        raise InputError(f"{path}: has an entry a line; {SHAPE}")
    if path.suffix == ".gz":
        raise InputError(f"{path}: is packed; the server takes plain JSON, unpack it")
    if path.read_bytes().startswith(codecs.BOM_UTF8):
        raise InputError(f"{path}: begins with a byte order mark; save it as UTF-8 without one")
    return len(answers)


def _read_valid(path: Path, table: pd.DataFrame, questions: Path) -> dict[int, str]:
    """The answer to each question of a table, which the file `questions` holds."""
    asked, given = dict.fromkeys(table["question_id"].tolist()), {}
    ill_formed, repeated = [], []
    try:
        for number, entry in enumerate(decode_entries(read_bytes(path), None, Result)):
            if isinstance(entry, DecodeError):
                ill_formed.append(f"results{entry}")
            elif isinstance(entry.question_id, str) and QUESTION_NAME not in table:
                said = "question_id is a text, and those asked are not"
                ill_formed.append(f"results[{number}].{said}")
            elif (id_ := as_id(entry.question_id)) in given:
                repeated.append(f"results[{number}] repeats question_id {entry.question_id}")
            else:
                given[id_] = entry.answer
    except DecodeError as error:  # no list at all
        raise InputError(f"{path}: {error}; {SHAPE}") from None
    extra = [
        f"answers question {n}, which {questions} does not ask" for n in given if n not in asked
    ]
    without = [f"has no answer to question {number}" for number in asked if number not in given]
    for problems, remedy in (
        (ill_formed, SHAPE),
        (repeated, "every question takes one answer"),
        (extra, "are they of one split?"),
        (without, "every question needs one"),
    ):
        if problems:
            more = f" (and {len(problems) - 1:,} more like it)" if len(problems) > 1 else ""
            raise InputError(f"{path}: {problems[0]}{more}; {remedy}")
    return given
