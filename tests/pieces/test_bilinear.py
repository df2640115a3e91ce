"""Bilinear fusions against the sums that they stand for, written out."""

import pytest
import torch
from torch.testing import assert_close

from tests.pieces.by_hand import affine
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.bilinear import BLOCK, MCB, MFB, MLB, MUTAN, signed_root

B, D, Q = 4, 5, 3
GENERATOR = torch.Generator().manual_seed(0)
IMAGE, QUESTION = (torch.randn(B, dim, generator=GENERATOR) for dim in (D, Q))


def made(build, *sizes, **keywords):
    torch.manual_seed(1)
    return build(D, Q, *sizes, **keywords).eval()


def summed(low_rank, rank, image, question):
    """Each number of the vector as a sum over ranks and over both vectors, a 1 at the end of each."""
    ends = [torch.cat([side, torch.ones(B, 1)], dim=1) for side in (image, question)]
    sides = low_rank.image, low_rank.question
    weights = [torch.cat([side.weight, side.bias[:, None]], dim=1) for side in sides]
    of_each_rank = [weight.unflatten(0, (rank, -1)) for weight in weights]  # (R, F, D + 1)
    tensor = torch.einsum("rfi,rfj->ijf", *of_each_rank)  # the full bilinear map
    return torch.einsum("bi,bj,ijf->bf", *ends, tensor)


def powered(vector):
    rooted = vector.sign() * vector.abs().sqrt()
    return rooted / rooted.norm(dim=1, keepdim=True)


def test_the_signed_root_by_hand_and_its_slope_at_zero():
    vector = torch.tensor([[9.0, -16.0, 0.0]], requires_grad=True)
    rooted = signed_root(vector)
    assert rooted[0].tolist() == pytest.approx([0.6, -0.8, 0.0], abs=1e-6)
    rooted[0, 0].backward()
    assert vector.grad.isfinite().all()
    # d/dx of sqrt(x) / sqrt(x + 16) at 9: 16 / (2 * 3 * 125).
    assert vector.grad[0, 0].item() == pytest.approx(16 / 750, rel=1e-4)
    assert signed_root(torch.zeros(1, 3)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("width", [7, 8, 64])  # odd ones have another transform
def test_mcb_is_the_count_sketch_of_all_products(width):
    piece = made(MCB, width)
    sketch = torch.zeros(B, width)
    for i in range(D):
        for j in range(Q):  # a product lands where both hashes say, added modulo the width
            place = (piece.image_place[i] + piece.question_place[j]) % width
            sign = piece.image_sign[i] * piece.question_sign[j]
            sketch[:, place] += sign * IMAGE[:, i] * QUESTION[:, j]
    given = piece(IMAGE, QUESTION)
    # The root makes much of what the transform rounds where no product landed: squared again.
    assert_close(given * given.abs(), powered(sketch) * powered(sketch).abs(), atol=1e-5, rtol=1e-5)
    assert given.norm(dim=1).tolist() == pytest.approx([1] * B)


def test_the_hashes_of_mcb_follow_the_seed_and_are_saved():
    one, same = made(MCB, 50), made(MCB, 50)
    torch.manual_seed(2)
    other = MCB(D, Q, 50)
    assert torch.equal(one(IMAGE, QUESTION), same(IMAGE, QUESTION))
    assert not torch.equal(one(IMAGE, QUESTION), other(IMAGE, QUESTION))
    assert set(torch.cat([one.image_sign, one.question_sign]).tolist()) == {-1.0, 1.0}
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(IMAGE, QUESTION), other(IMAGE, QUESTION))
    assert not list(one.parameters())
    half = one(IMAGE.half(), QUESTION.half())  # a transform of half floats would lose too much
    assert half.dtype == torch.float32
    assert_close(half, one(IMAGE, QUESTION), atol=0.05, rtol=0.05)


def test_mlb_is_a_product_of_rank_vectors_projected():
    piece = made(MLB, 6, rank=4)
    seen, asked = affine(piece.image[0], IMAGE).tanh(), affine(piece.question[0], QUESTION).tanh()
    assert_close(piece(IMAGE, QUESTION), affine(piece.project, seen * asked))
    assert seen.shape == (B, 4) and piece.out_dim == 6


def test_mfb_sums_factors_of_every_number():
    piece = made(MFB, 6, factors=2)
    expected = powered(summed(piece.bilinear, 2, IMAGE, QUESTION))
    assert_close(piece(IMAGE, QUESTION), expected, atol=1e-4, rtol=1e-4)
    assert not torch.equal(piece.train()(IMAGE, QUESTION), piece(IMAGE, QUESTION))  # dropout


def test_mutan_is_a_small_core_of_low_rank_between_projections():
    piece = made(MUTAN, 6, inner=4, rank=3)
    seen, asked = affine(piece.image[1], IMAGE).tanh(), affine(piece.question[1], QUESTION).tanh()
    assert seen.shape == asked.shape == (B, 4)
    assert_close(piece(IMAGE, QUESTION), summed(piece.core, 3, seen, asked))


def test_block_has_a_core_for_each_chunk_alone():
    piece = made(BLOCK, 7, inner=6, chunks=3, rank=2)
    seen, asked = affine(piece.image[0], IMAGE), affine(piece.question[0], QUESTION)
    fused = [
        powered(summed(core, 2, seen[:, 2 * c : 2 * c + 2], asked[:, 2 * c : 2 * c + 2]))
        for c, core in enumerate(piece.cores)
    ]
    expected = affine(piece.project, torch.cat(fused, dim=1))
    assert_close(piece(IMAGE, QUESTION), expected, atol=1e-4, rtol=1e-4)
    for chunks in (4, 0, -3):
        with pytest.raises(InputError, match=f"6 numbers cannot be cut into {chunks} equal chunks"):
            BLOCK(D, Q, inner=6, chunks=chunks)
