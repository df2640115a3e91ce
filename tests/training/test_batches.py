"""Batches by index: every question once, images shared, unknown answers set aside."""

import pytest
import torch

from vqa_helpers.training.batches import Batches, FeatureRows, QuestionTensors
from vqa_helpers.training.losses import SoftScores


def split(questions: int, images: int = 3) -> QuestionTensors:
    lengths = torch.arange(questions) % 4 + 1
    tokens = torch.zeros(questions, 4, dtype=torch.int32)
    for row, length in enumerate(lengths.tolist()):
        tokens[row, :length] = row + 2
    return QuestionTensors(
        tokens, lengths, torch.arange(questions) % images, torch.arange(questions)
    )


def batches(questions: int, size: int, **rows) -> Batches:
    return Batches(split(questions), rows.get("images"), size)


def order(given) -> list[int]:
    return [target for batch in given for target in batch.target.tolist()]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("questions", "size"), [(10, 3), (10, 5), (9, 4), (2, 400), (1, 4)])
def test_every_question_once_an_epoch(questions, size):
    made = batches(questions, size)
    assert order(made.in_order()) == list(range(questions))
    assert sorted(order(made.shuffled(generator()))) == list(range(questions))


def test_the_generator_decides_the_order_and_moves_on():
    made, first, second = batches(20, 6), generator(), generator()
    epochs = [order(made.shuffled(first)) for _ in range(2)]
    assert epochs == [order(made.shuffled(second)) for _ in range(2)]
    assert epochs[0] != epochs[1]
    assert epochs[0] != order(made.shuffled(generator(1)))
    assert epochs[0] == torch.randperm(20, generator=generator()).tolist()


def test_sizes_of_batches():
    made = batches(10, 4)
    assert [len(batch) for batch in made.in_order()] == [4, 4, 2]
    assert made.count() == 3
    assert len(made) == 10


def test_a_last_batch_of_one_joins_its_neighbour_in_training_alone():
    made = batches(9, 4)
    assert [len(batch) for batch in made.shuffled(generator())] == [4, 5]
    assert [len(batch) for batch in made.in_order()] == [4, 4, 1]


def test_rows_stay_together():
    features = torch.arange(3).repeat_interleave(2).view(3, 2).half() * 10
    for batch in batches(10, 4, images=FeatureRows(features)).shuffled(generator(5)):
        for row, target in enumerate(batch.target.tolist()):
            length = target % 4 + 1
            assert batch.lengths[row] == length
            assert batch.question[row].tolist()[:length] == [target + 2] * length
            assert not batch.question[row, length:].any()
            assert batch.image[row].tolist() == [10 * (target % 3)] * 2


def test_a_batch_is_no_wider_than_its_longest_question():
    widths = [batch.question.shape[1] for batch in batches(6, 2).in_order()]
    assert widths == [2, 4, 2]


def test_questions_about_one_image_share_its_row():
    features = FeatureRows(torch.randn(3, 5).half())
    batch = next(batches(6, 6, images=features).in_order())
    assert torch.equal(batch.image[:3], batch.image[3:])
    assert not torch.equal(batch.image[0], batch.image[1])
    assert features.features.shape == (3, 5)  # one row an image, not one a question


def test_sentence_vectors_have_no_lengths():
    tensors = QuestionTensors(torch.randn(5, 7), None, torch.zeros(5).long(), torch.arange(5))
    made = list(Batches(tensors, None, 2).in_order())
    assert all(batch.lengths is None and batch.image is None for batch in made)
    assert torch.equal(torch.cat([batch.question for batch in made]), tensors.question)


def test_only_questions_with_a_known_answer_teach():
    tensors = split(6)
    tensors.target[[1, 4]] = -1
    kept = tensors.learnable()
    assert kept.target.tolist() == [0, 2, 3, 5]
    assert kept.lengths.tolist() == [1, 3, 4, 2]
    assert kept.image_row.tolist() == [0, 2, 0, 2]
    assert kept.question[:, 0].tolist() == [2, 4, 5, 7]
    assert len(tensors) == 6  # the whole split stays for evaluation


def test_images_alone_have_no_questions():
    tensors = QuestionTensors(None, None, torch.tensor([1, 0, 1]), torch.tensor([-1, 1, 2]))
    images = FeatureRows(torch.tensor([[1.0], [2.0]]))
    made = list(Batches(tensors.learnable(), images, 1).in_order())
    assert all(batch.question is None and batch.lengths is None for batch in made)
    assert [batch.image.tolist() for batch in made] == [[[1.0]], [[2.0]]]


def test_with_soft_scores_any_known_answer_teaches():
    tensors = split(6)
    tensors.target[[1, 4]] = -1
    ids = torch.arange(12).view(6, 2)
    tensors.soft = SoftScores(ids, torch.tensor([[1, 0], [0.3, 0], [0, 0], [1, 1], [0, 0], [1, 0]]))
    kept = tensors.learnable()
    assert kept.target.tolist() == [0, -1, 3, 5]
    assert kept.soft.ids.tolist() == [[0, 1], [2, 3], [6, 7], [10, 11]]
    assert kept.lengths.tolist() == [1, 2, 4, 2]


def test_soft_scores_stay_with_their_question():
    tensors = split(7)
    scores = torch.linspace(0.1, 0.7, 7)[:, None]
    tensors.soft = SoftScores(torch.arange(7)[:, None], scores)
    for batch in Batches(tensors, None, 3).shuffled(torch.Generator().manual_seed(0)):
        assert batch.soft.ids[:, 0].tolist() == batch.target.tolist()
        assert torch.equal(batch.soft.scores[:, 0], scores[batch.target, 0])


def test_sentence_vectors_with_unknown_answers():
    tensors = QuestionTensors(torch.randn(3, 2), None, torch.arange(3), torch.tensor([-1, 1, -1]))
    kept = tensors.learnable()
    assert kept.lengths is None
    assert torch.equal(kept.question, tensors.question[1:2])
