"""What a model reads: vocabularies, frozen vectors and their stand-ins."""

import numpy as np
import pytest
import torch

from tests.builders import write_dataset
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.experiment.prepare import RANDOM_VISION
from vqa_helpers.experiment.questions import HASHED_SENTENCES, LEARNED_WORDS
from vqa_helpers.language.word_vectors import read_glove


def write_glove(path, words, dim=50, spoil=None):
    generator = np.random.default_rng(0)
    lines = [f"{word} {' '.join(map(str, generator.normal(size=dim).round(3)))}" for word in words]
    if spoil is not None:
        lines[spoil] = lines[spoil].rsplit(" ", 1)[0]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_vocabularies_know_train_alone(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=6)
    for name in ("questions_val.json", "annotations_val.json"):
        text = (data / name).read_text(encoding="utf-8")
        for old, new in (("What color", "Quelle couleur"), ('"yes"', '"oui"'), ('"no"', '"non"')):
            text = text.replace(old, new)
        (data / name).write_text(text, encoding="utf-8")
    experiment = ready("Original_VQA2015_ResNet", data)
    train = read_folder(data).splits["train"]
    assert "quelle" not in experiment.vocabularies.words.ids
    assert experiment.vocabularies.answers == AnswerVocabulary.build(train["answer"])
    targets = experiment.batches["validation"].target
    assert len(targets) == 18
    assert (targets == -1).sum() >= 6  # "oui" and "non" stay in the denominator


@pytest.mark.parametrize(
    ("preset", "stand_ins"),
    [
        ("1.e", [RANDOM_VISION, HASHED_SENTENCES]),
        ("Improved_VQA2015_ResNet", [RANDOM_VISION]),
        ("GloVe_ResNet", [RANDOM_VISION, LEARNED_WORDS]),
        ("Question_Only", []),
    ],
)
def test_stand_ins_are_named_in_the_config(ready, preset, stand_ins):
    assert ready(preset).config()["stand_ins"] == stand_ins


@pytest.mark.slow
def test_a_model_without_questions_has_no_words_to_tell(ready):
    experiment = ready("Image_Only")
    config = experiment.config()
    told = ("words", "word_coverage", "question_source")
    assert [config[name] for name in told] == [None] * 3
    assert config["pieces"]["questions"] is None
    batch = next(experiment.batches["test"].in_order())
    assert batch.question is None and batch.lengths is None and batch.image is not None


def test_a_glove_file_is_no_stand_in(ready, tmp_path):
    glove = write_glove(tmp_path / "glove.txt", ["what", "color", "is"])
    experiment = ready("GloVe_ResNet", glove=glove)
    assert experiment.config()["stand_ins"] == [RANDOM_VISION]
    words = experiment.vocabularies.words
    matrix, _ = read_glove(glove, ["what"], 50)
    table = experiment.model.language.embedding.weight
    assert torch.equal(table[words.ids["what"]], torch.from_numpy(matrix[0]))
    assert not table[0].any() and not table[words.ids["marks"]].any()


def test_a_glove_line_of_another_width_is_named(ready, tmp_path):
    glove = write_glove(tmp_path / "glove.txt", ["what", "color", "is"], spoil=1)
    with pytest.raises(InputError, match=r"glove\.txt: line 2: expected 50 numbers"):
        ready("GloVe_ResNet", glove=glove)


def test_without_glove_and_online_the_remedy_is_named(ready):
    with pytest.raises(InputError, match="no GloVe vectors of width 50.*--glove FILE"):
        ready("GloVe_ResNet", offline=False)
