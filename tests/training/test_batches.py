"""Batches by index: every question once, images shared, unknown answers set aside, shares of
processes."""

import pytest
import torch

from vqa_helpers.training.batches import Batches, Examples
from vqa_helpers.training.image_rows import place_rows
from vqa_helpers.training.losses import SoftScores


def split(questions: int, images: int = 3) -> Examples:
    """Question q has q % 4 + 1 words of id q + 2, is about image q % images, and answer q."""
    lengths = torch.arange(questions) % 4 + 1
    tokens = torch.arange(questions)[:, None].expand(-1, 4) + 2
    tokens = torch.where(torch.arange(4) < lengths[:, None], tokens, 0).int()
    rows = torch.arange(questions)
    return Examples((tokens, lengths), rows % images, rows.clone(), None)


def batches(questions: int, size: int, images=None, **options) -> Batches:
    return Batches(split(questions), images, size, **options)


def order(given) -> list[int]:
    return [target for batch in given for target in batch.target.tolist()]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("questions", "size", "sizes", "shuffled"),
    [(10, 5, [5, 5], [5, 5]), (2, 400, [2], [2]), (1, 4, [1], [1]),
     # Batch normalisation cannot learn from one question: it joins its neighbour.
     (9, 4, [4, 4, 1], [4, 5])],
)  # fmt: skip
def test_every_question_once_an_epoch(questions, size, sizes, shuffled):
    made = batches(questions, size)
    assert [len(batch) for batch in made.in_order()] == sizes
    assert order(made.in_order()) == list(range(questions))
    epoch = list(made.shuffled(generator()))
    assert [len(batch) for batch in epoch] == shuffled
    assert order(epoch) == torch.randperm(questions, generator=generator()).tolist()


def test_the_generator_moves_on():
    made, first, second = batches(20, 6), generator(), generator()
    epochs = [order(made.shuffled(first)) for _ in range(2)]
    assert epochs == [order(made.shuffled(second)) for _ in range(2)]
    assert epochs[0] != epochs[1]


def test_only_ids_padded_with_zeros_are_cut_to_the_longest():
    lengths, ids = torch.tensor([2, 1]), torch.tensor([[3, 4, 0, 0], [5, 0, 0, 0]])
    behind = torch.tensor([[3, 4, 0, 0], [5, 0, 0, 9]])  # an own encoder's, with a number a text
    for given, width in ((ids, 2), (behind, 4), (ids.float(), 4)):
        [batch] = Batches(Examples((given, lengths), lengths, lengths), None, 2).in_order()
        assert torch.equal(batch.question[0], given[:, :width])


@pytest.mark.parametrize("features_there", [True, False])
def test_batches_on_a_gpu_are_those_on_the_cpu(features_there):
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    features = torch.randn(3, 4).half()
    there = place_rows(features, "cuda") if features_there else features
    assert there.is_cuda is features_there
    near = batches(10, 4, there, device="cuda").shuffled(generator(1))
    for ours, other in zip(near, batches(10, 4, features).shuffled(generator(1)), strict=True):
        pairs = zip((ours.image, ours.target, *ours.question),
                    (other.image, other.target, *other.question), strict=True)  # fmt: skip
        assert all(a.is_cuda and torch.equal(a.cpu(), b) for a, b in pairs)
        assert torch.equal(ours.rows, other.rows)


def test_what_belongs_together_stays_together():
    features = torch.arange(3).repeat_interleave(2).view(3, 2).half() * 10
    made = batches(10, 4, features)
    made.examples.soft = SoftScores(torch.arange(10)[:, None], torch.arange(10.0)[:, None])
    for batch in made.shuffled(generator(5)):
        tokens, lengths = batch.question
        assert torch.equal(batch.rows, batch.target)
        for row, target in enumerate(batch.target.tolist()):
            length = target % 4 + 1
            assert lengths[row] == length <= tokens.shape[1] == lengths.max()
            assert tokens[row].tolist()[:length] == [target + 2] * length
            assert not tokens[row, length:].any()
            assert batch.image[row].tolist() == [10 * (target % 3)] * 2
            assert batch.soft.ids[row].tolist() == batch.soft.scores[row].tolist() == [target]


def test_only_questions_with_a_known_answer_teach():
    examples = split(6)
    examples.target[[1, 4]] = -1
    kept = examples.learnable()
    assert kept.target.tolist() == [0, 2, 3, 5]
    assert kept.question[0][:, 0].tolist() == [2, 4, 5, 7]
    assert kept.image_row.tolist() == [0, 2, 0, 2]
    assert len(examples) == 6  # all of the split stays for evaluation
    # With soft scores any answer that is known teaches, and the target alone does not.
    scores = torch.tensor([[1, 0], [0.3, 0], [0, 0], [1, 1], [0, 0], [1, 0]])
    examples.soft = SoftScores(torch.arange(12).view(6, 2), scores)
    kept = examples.learnable()
    assert kept.target.tolist() == [0, -1, 3, 5]
    assert kept.soft.ids.tolist() == [[0, 1], [2, 3], [6, 7], [10, 11]]


@pytest.mark.parametrize(
    ("questions", "parts", "sizes"),
    [(9, 1, [9]), (10, 3, [3, 4, 3]), (5, 8, [2, 3]), (1, 4, [1])],
)
def test_parts_are_even_and_of_two_questions_at_least(questions, parts, sizes):
    made = batches(questions, questions, torch.arange(3.0)[:, None])
    made.examples.soft = SoftScores(torch.arange(questions)[:, None], torch.ones(questions, 1))
    [batch] = made.in_order()
    cut = batch.parts(parts)
    assert sorted(len(part) for part in cut) == sorted(sizes)
    for name in ("image", "target", "rows"):
        together = torch.cat([getattr(part, name) for part in cut])
        assert torch.equal(together, getattr(batch, name))
    assert torch.equal(torch.cat([part.question[0] for part in cut]), batch.question[0])
    assert torch.equal(torch.cat([part.soft.ids for part in cut]), batch.soft.ids)


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize(("questions", "size"), [(20, 6), (7, 7), (9, 4)])
def test_shares_of_processes_are_disjoint_and_complete(questions, size, processes):
    alone = next(batches(questions, size).shuffled(generator(1)))
    shares = [
        list(batches(questions, size, share=(which, processes)).shuffled(generator(1)))
        for which in range(processes)
    ]
    assert len({len(share) for share in shares}) == 1  # every process takes every step
    least = 2 if size >= 2 * processes else 1  # of one row batch normalisation cannot learn
    assert all(len(batch) >= least for share in shares for batch in share)
    first = [share[0] for share in shares]
    assert sorted(order(first)) == sorted(alone.target.tolist())
    assert sorted(order(batch for share in shares for batch in share)) == list(range(questions))
    for which in range(processes):  # evaluation is everyone's
        made = batches(questions, size, share=(which, processes))
        assert order(made.in_order()) == list(range(questions))
