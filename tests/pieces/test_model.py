"""The contract of every piece: it joins pieces of other widths, says its own, learns, and is saved.

All classes of the package are found, so that a new one is held to it without being named here.
"""

import itertools

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from tests.pieces.by_hand import write_glove
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.choice import SLOTS, Choice, choice_from, pieces_of
from vqa_helpers.pieces.classifier import Funnel
from vqa_helpers.pieces.fusion import Concatenation
from vqa_helpers.pieces.identity import structure_of
from vqa_helpers.pieces.language import WordLSTM
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.pieces.sentences import MULTILINGUAL
from vqa_helpers.pieces.vision import NetworkInLoop
from vqa_helpers.training.inputs import build_model

VOCABULARY = AnswerVocabulary(("a cat", "is it", "why"))
ANSWERS = len(VOCABULARY)
QUESTIONS = ["what is a cat?", "is it", "why?", "is a cat what?"]
WORDS = WordVocabulary.build([["what", "is", "a", "cat"], ["is", "it"], ["why"]])
VISION, LANGUAGE, FUSION, CLASSIFIER = map(pieces_of, SLOTS)
# Every fusion meets every language piece, and every vision piece; not each pair of those besides.
USUAL = {"StoredFeatures", "StoredGrid", "WordLSTM", "WordStates", None}
# Fusions that not every pair of widths fits: those of one side alone, and of equal widths.
ONE_SIDED = {"OneSide"}


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Small widths, random weights, no download."""
    folder = tmp_path_factory.mktemp("words")
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(len(WORDS), 6, generator=generator).tolist()
    of_words = dict(list(zip(WORDS.words, vectors, strict=True))[2:])
    known = {"vectors": write_glove(folder, of_words), "dim": 6}
    small = {**known, "hidden": 5, "first_width": 2}
    return {
        "vision": {"network": "resnet18", "weights": "random", "size_px": 32},
        "language": {**small, "width": 7, "heads": 7, "encoder": MULTILINGUAL, "cache": folder},
        "fusion": {"width": 12, "hidden": 10, "heads": 4, "inner": 40, "rank": 9, "dropout": 0.0},
        "classifier": {**known, "hidden": (17, 8)},
    }


def join(usual, seed=0, **chosen) -> VQAModel:
    torch.manual_seed(seed)
    choices = {slot: None if cls is None else Choice(cls) for slot, cls in chosen.items()}
    return build_model(choices, WORDS, VOCABULARY, usual)


def batch_for(model: VQAModel):
    generator = torch.Generator().manual_seed(1)
    image = None
    if model.vision is not None and getattr(model.vision, "stored", False):
        places = [6] if model.vision.grid else []
        image = torch.randn(4, *places, model.vision.out_dim, generator=generator).half()
    elif model.vision is not None:
        image = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return image, model.encode(QUESTIONS, WORDS)


COMBINATIONS = [
    pytest.param(*names, id=" + ".join(map(str, names)))
    for names in itertools.product([*VISION, None], [*LANGUAGE, None], FUSION, CLASSIFIER)
    if (None in names[:2]) == (names[2] in ONE_SIDED)
    and names[:2] != (None, None)
    and USUAL.intersection(names[:2])
    and getattr(VISION.get(names[0]), "grid", False) == FUSION[names[2]].attends
    and getattr(LANGUAGE.get(names[1]), "gives_words", False)
    == getattr(FUSION[names[2]], "reads_words", False)
]


@pytest.mark.parametrize(("vision", "language", "fusion", "classifier"), COMBINATIONS)
def test_pieces_of_other_widths_join_learn_and_are_saved(
    usual, vision, language, fusion, classifier
):
    classes = {
        "vision": VISION.get(vision), "language": LANGUAGE.get(language),
        "fusion": FUSION[fusion], "classifier": CLASSIFIER[classifier],
    }  # fmt: skip
    model = join(usual, **classes)
    widths = {}
    for name, child in model.named_children():
        child.register_forward_hook(
            lambda m, i, out, name=name: widths.update({name: getattr(out, "vectors", out).shape})
        )
    image, question = batch_for(model)

    # Every parameter learns or is declared frozen.
    logits = model(image, question)
    assert logits.shape == (4, ANSWERS) and logits.isfinite().all()
    for name, child in model.named_children():
        assert (widths[name][0], widths[name][-1]) == (4, child.out_dim), name
    cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    learning = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, grad in learning.items() if grad is None or not grad.any()] == []

    # An answer depends on its own question and image alone, and on both.
    model.eval()
    together = model(image, question)
    assert torch.equal(model(image, question), together)
    for row in range(4):
        alone = model.encode(QUESTIONS[row : row + 1], WORDS)
        one = model(None if image is None else image[row : row + 1], alone)
        assert_close(one, together[row : row + 1], rtol=1e-4, atol=1e-5)
    if image is not None:
        assert not torch.equal(model(image.flip(0), question), together)
    if question:
        turned = tuple(tensor.flip(0) for tensor in question)
        assert not torch.equal(model(image, turned), together)

    # What is recorded and saved gives the model back.
    choices = model.choices().items()
    choices = {s: choice and choice_from(s, choice.record(), {}, "here") for s, choice in choices}
    torch.manual_seed(5)
    cache = {"language": {"cache": usual["language"]["cache"]}}
    again = build_model(choices, WORDS, VOCABULARY, cache)
    assert structure_of(again) == structure_of(model)  # word vectors lie in the saved state
    again.load_saved_state(model.saved_state())
    assert torch.equal(again.eval()(image, question), together)


@pytest.mark.parametrize(
    ("vision", "fusion", "width"),
    [("StoredFeatures", "Product", 91), ("StoredGrid", "TopDownAttention", 1024),
     ("StoredGrid", "StackedAttention", 1024)],
)  # fmt: skip
def test_objects_and_regions_of_a_detector_are_held_to_it(usual, vision, fusion, width):
    network = {"network": "fasterrcnn_mobilenet_v3_large_320_fpn", "weights": "random"}
    usual = usual | {"vision": network}
    assert join(usual, vision=VISION[vision], language=LANGUAGE["WordLSTM"], fusion=FUSION[fusion],
                classifier=Funnel).vision.out_dim == width  # fmt: skip
    names = vision, "WordLSTM", fusion, "Funnel"
    test_pieces_of_other_widths_join_learn_and_are_saved(usual, *names)


def test_every_fusion_takes_part():
    joined = {parameters.values[2] for parameters in COMBINATIONS}
    assert joined == FUSION.keys()


# ---------------------------------------------------------------- a network inside the loop


@pytest.mark.parametrize("trained", ["none", "last block", "all"])
def test_only_a_frozen_network_is_left_out_of_the_saved_model(trained):
    vision, language = NetworkInLoop("resnet18", "random", 32, trained), WordLSTM(WORDS, 4, 3)
    model = VQAModel(vision, language, Concatenation(512, 6), Funnel(518, (), ANSWERS))
    state = model.saved_state()
    assert any(name.startswith("vision.encoder.") for name in state) == (trained != "none")
    assert {"vision.mean", "vision.std", "classifier.layers.0.weight"} <= state.keys()
    for wrong in (state | {"more": torch.zeros(1)}, dict(list(state.items())[1:])):
        with pytest.raises(ValueError, match="is in one of the two alone"):
            model.load_saved_state(wrong)


@pytest.mark.parametrize(
    ("given", "read"),
    [(torch.ones(4, 3), 1), ([torch.ones(4), torch.ones(4, 2)], 2), (torch.ones(3, 4), None),
     ((torch.ones(4), torch.tensor(4)), None), (None, None)],
)  # fmt: skip
def test_what_an_own_encode_gives_is_a_tensor_or_several_with_a_row_a_question(given, read):
    class Mine(torch.nn.Module):
        def encode(self, questions):
            return given

    model = VQAModel(None, Mine(), Concatenation(0, 4), Funnel(4, (), ANSWERS))
    if read:
        assert len(model.encode(QUESTIONS, WORDS)) == read
    else:
        with pytest.raises(InputError, match="^Mine.encode: .* not one row for each of 4 quest"):
            model.encode(QUESTIONS, WORDS)


@pytest.mark.parametrize(
    ("kept", "known"), [(WORDS.at_least(2), WORDS.at_least(2)), (len(WORDS), WORDS)]
)
def test_an_encoder_without_encode_is_given_ids_of_its_own_vocabulary(kept, known):
    bag = torch.nn.Module()
    bag.vocabulary = kept  # trimmed, or a number
    model = VQAModel(None, bag, Concatenation(0, 4), Funnel(4, (), ANSWERS))
    tokens, lengths = model.encode(QUESTIONS, WORDS)
    assert tokens.max() == len(known) - 1 and lengths.tolist() == [4, 2, 1, 4]
    assert model.words(WORDS) == known
