"""The puzzle: pieces of differing widths join, everything that should learn does, presets learn."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from vqa_helpers.errors import InputError
from vqa_helpers.language.encoders import BagOfWords, GloveBiLSTM, SentenceVectors, WordLSTM
from vqa_helpers.model.classifier import Funnel
from vqa_helpers.model.config import Classifier, Concat, Glove, Images, Product, Sentences, Words
from vqa_helpers.model.fusion import Concatenation, OneSide, PlainProduct, ProjectedProduct
from vqa_helpers.model.presets import PRESETS
from vqa_helpers.model.vqa import VQAModel, build_model
from vqa_helpers.vision.normalise import FeatureNormaliser, train_statistics

ANSWERS, WORDS, IMAGE_DIM = 3, 9, 10
TOKENS = torch.tensor([[2, 3, 4, 5], [6, 7, 0, 0], [8, 0, 0, 0], [3, 2, 5, 0]], dtype=torch.int32)
LENGTHS = torch.tensor([4, 2, 1, 3])

VISION = {"features": lambda: FeatureNormaliser(IMAGE_DIM), "none": lambda: None}
LANGUAGE = {
    "words": lambda: WordLSTM(WORDS, words=5, hidden=7),  # 14 wide
    "carried": lambda: WordLSTM(WORDS, words=4, hidden=5, carry_state=True),  # 10, as the image
    "glove": lambda: GloveBiLSTM(torch.randn(WORDS, 6), hidden=4),  # 16
    "bag": lambda: BagOfWords(WORDS, words=6, first=2, first_words=1),  # 8
    "sentences": lambda: SentenceVectors(11),
    "none": lambda: None,
}
FUSION = {
    "concat": Concatenation,
    "plain": PlainProduct,
    "projected": lambda image, question: ProjectedProduct(image, question, width=13),
    "normalised": lambda image, question: ProjectedProduct(
        image, question, 12, "tanh", normalise=True, dropout=0.1
    ),
    "one side": OneSide,
}
CLASSIFIER = {
    "linear": lambda width: Funnel(width, (), ANSWERS),
    "funnel": lambda width: Funnel(width, (17, 8), ANSWERS, "tanh", dropout=0.1),
    "batch norm": lambda width: Funnel(width, (9,), ANSWERS, batch_norm=True),
}


def join(vision: str, language: str, fusion: str, classifier: str) -> VQAModel:
    torch.manual_seed(0)
    see, read = VISION[vision](), LANGUAGE[language]()
    fuse = FUSION[fusion](see.out_dim if see else 0, read.out_dim if read else 0)
    return VQAModel(see, read, fuse, CLASSIFIER[classifier](fuse.out_dim))


def batch_for(vision: str, language: str) -> tuple:
    torch.manual_seed(1)
    image = None if vision == "none" else torch.randn(4, IMAGE_DIM).half()
    if language == "none":
        return image, None, None
    if language == "sentences":
        return image, torch.randn(4, 11), None
    return image, TOKENS, LENGTHS


def take(part: torch.Tensor | None, rows: slice) -> torch.Tensor | None:
    return None if part is None else part[rows]


FITTING = [
    combination
    for combination in itertools.product(VISION, LANGUAGE, FUSION, CLASSIFIER)
    if ("none" in combination[:2]) == (combination[2] == "one side")
    and combination[:2] != ("none", "none")
    and (combination[2] != "plain" or combination[1] == "carried")
]
NAMED = [" + ".join(combination) for combination in FITTING]


@pytest.mark.parametrize("pieces", FITTING, ids=NAMED)
def test_pieces_of_differing_widths_join(pieces):
    model = join(*pieces)
    logits = model(*batch_for(*pieces[:2]))
    assert logits.shape == (4, ANSWERS)
    assert logits.isfinite().all()


@pytest.mark.parametrize("pieces", FITTING, ids=NAMED)
def test_every_parameter_learns_or_is_declared_frozen(pieces):
    model = join(*pieces)
    image, question, lengths = batch_for(*pieces[:2])
    cross_entropy(model(image, question, lengths), torch.tensor([0, 1, 2, 0])).backward()
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert without == []
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert frozen == (["language.embedding.weight"] if pieces[1] == "glove" else [])


@pytest.mark.parametrize("pieces", FITTING, ids=NAMED)
def test_an_answer_depends_on_its_own_question_and_image_alone(pieces):
    model = join(*pieces).eval()
    image, question, lengths = batch_for(*pieces[:2])
    together = model(image, question, lengths)
    assert torch.equal(model(image, question, lengths), together)
    for row in range(4):
        one = slice(row, row + 1)
        alone = model(
            take(image, one),
            question[one, : lengths[row]] if lengths is not None else take(question, one),
            None if lengths is None else lengths[one],
        )
        assert_close(alone, together[one])


@pytest.mark.parametrize("language", ["words", "carried", "glove"])
def test_padding_changes_no_logit(language):
    model = join("features", language, "projected", "funnel").eval()
    image, question, lengths = batch_for("features", language)
    longer = torch.cat([question, torch.zeros(4, 5, dtype=torch.int32)], dim=1)
    assert_close(model(image, longer, lengths), model(image, question, lengths))


@pytest.mark.parametrize("language", ["words", "glove", "sentences"])
def test_a_plain_product_of_unequal_widths_is_refused(language):
    with pytest.raises(InputError, match="needs equal widths, not 10 .image. and 1[146]"):
        join("features", language, "plain", "linear")


@pytest.mark.parametrize("fusion", ["concat", "projected", "normalised"])
def test_image_and_question_both_count(fusion):
    model = join("features", "words", fusion, "linear").eval()
    image, question, lengths = batch_for("features", "words")
    logits = model(image, question, lengths)
    assert not torch.allclose(model(image.flip(0), question, lengths), logits)
    assert not torch.allclose(model(image, question.flip(0), lengths.flip(0)), logits)


# Built from records ---------------------------------------------------------------------------


def test_a_plain_product_preset_with_unequal_widths_names_them():
    pieces = {**PRESETS["1.b"].records(), "images": Images("resnet50")}
    with pytest.raises(InputError, match="2048 .image. and 512 .question."):
        build_model(pieces, answers=3)


def test_a_network_that_learns_in_the_loop_gets_gradients_in_the_right_part():
    pieces = {
        "images": Images("resnet18", in_loop=True, trained="last block"),
        "questions": Words(4, 3),
        "fusion": Concat(),
        "classifier": Classifier(()),
    }
    model = build_model(pieces, answers=3, vocabulary_size=WORDS)
    pixels = torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8)
    model.train()
    cross_entropy(model(pixels, TOKENS, LENGTHS), torch.tensor([0, 1, 2, 0])).backward()
    learning = {name for name, p in model.vision[0].network.named_parameters() if p.requires_grad}
    assert learning and all(name.startswith("layer4.") for name in learning)
    for name, parameter in model.vision[0].network.named_parameters():
        assert (parameter.grad is not None and bool(parameter.grad.any())) == (name in learning)


@pytest.mark.parametrize(
    ("trained", "saved"), [("none", False), ("last block", True), ("all", True)]
)
def test_only_a_frozen_network_is_left_out_of_the_saved_model(trained, saved):
    pieces = {
        "images": Images("resnet18", in_loop=True, trained=trained),
        "questions": Sentences(),
        "fusion": Concat(),
        "classifier": Classifier(()),
    }
    state = build_model(pieces, answers=3).saved_state()
    assert any(name.startswith("vision.0.") for name in state) == saved
    assert {"vision.1.mean", "vision.1.std", "classifier.layers.0.weight"} <= state.keys()


def test_the_saved_model_holds_the_word_vectors():
    pieces = {
        "images": None,
        "questions": Glove(5, 3),
        "fusion": None,
        "classifier": Classifier((4,)),
    }
    vectors = torch.randn(WORDS, 5)
    model = build_model(pieces, answers=3, word_vectors=vectors)
    assert torch.equal(model.saved_state()["language.embedding.weight"], vectors)


def test_parameters_counted_are_those_that_learn():
    pieces = {
        "images": Images("resnet18", in_loop=True),
        "questions": Glove(5, 3),
        "fusion": Product(7),
        "classifier": Classifier((4,)),
    }
    model = build_model(pieces, answers=3, word_vectors=torch.randn(WORDS, 5))
    layer = 2 * (4 * 3 * (5 + 3) + 2 * 4 * 3) + 2 * (4 * 3 * (6 + 3) + 2 * 4 * 3)
    assert model.parameter_count() == layer + (512 * 7 + 7) + (12 * 7 + 7) + (7 * 4 + 4) + (
        4 * 3 + 3
    )


# Every preset at its real size ----------------------------------------------------------------


class Sample:
    """Eight questions about eight images, an answer each; as small as a preset can eat."""

    vocabulary = 12
    answers = 8

    def __init__(self, preset) -> None:
        torch.manual_seed(3)
        self.vectors = torch.randn(self.vocabulary, 50)
        self.target = torch.arange(8)
        self.pixels = torch.randint(0, 255, (8, 3, 32, 32), dtype=torch.uint8)
        self.in_loop = preset.images is not None and preset.images.in_loop
        if preset.questions is None:
            self.question, self.lengths = None, None
        elif isinstance(preset.questions, Sentences):
            self.question, self.lengths = nn.functional.normalize(torch.randn(8, 512)), None
        else:
            self.question = torch.stack([torch.randperm(10)[:4] + 2 for _ in range(8)]).int()
            self.lengths = torch.tensor([4, 3, 4, 2, 4, 4, 3, 4])

    def build(self, preset) -> VQAModel:
        torch.manual_seed(0)
        return build_model(
            preset.records(),
            answers=self.answers,
            vocabulary_size=self.vocabulary,
            word_vectors=self.vectors,
        )

    def image(self, model: VQAModel) -> torch.Tensor | None:
        if model.vision is None:
            return None
        if self.in_loop:
            return self.pixels
        return torch.randn(8, model.vision.out_dim, generator=torch.Generator().manual_seed(1))


def funnel_widths(model: VQAModel) -> list[tuple[int, int]]:
    layers = model.classifier.layers
    return [(x.in_features, x.out_features) for x in layers if isinstance(x, nn.Linear)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "question_width", "projections", "funnel"),
    [
        ("Model100", 512, None, [(4608, 1024), (1024, 512), (512, 8)]),
        ("1.b", 512, None, [(512, 4096), (4096, 8)]),
        ("1.c", 512, None, [(512, 4096), (4096, 1024), (1024, 8)]),
        ("1.e", 512, None, [(1024, 4096), (4096, 1024), (1024, 8)]),
        ("1.f", 512, None, [(2560, 4096), (4096, 1024), (1024, 8)]),
        ("1.fB", 512, None, [(2560, 4096), (4096, 1024), (1024, 8)]),
        ("1.fC", 512, None, [(2560, 4096), (4096, 1024), (1024, 8)]),
        ("GUSE_VGG", 512, (4096, 512), [(1024, 1024), (1024, 8)]),
        ("GUSE_ResNet", 512, (2048, 512), [(1024, 1024), (1024, 8)]),
        ("Original_VQA2015_VGG", 1024, (4096, 1024), [(1024, 1000), *[(1000, 1000)] * 2, (1000, 8)]),
        ("Original_VQA2015_ResNet", 1024, (2048, 1024), [(1024, 1000), *[(1000, 1000)] * 2, (1000, 8)]),
        ("Improved_VQA2015_VGG", 1024, (4096, 1024), [(1024, 1000), *[(1000, 1000)] * 2, (1000, 8)]),
        ("Improved_VQA2015_ResNet", 1024, (2048, 1024), [(1024, 1000), *[(1000, 1000)] * 2, (1000, 8)]),
        ("GloVe_VGG", 2048, (4096, 2048), [(1024, 1024), (1024, 8)]),
        ("GloVe_ResNet", 2048, (2048, 2048), [(1024, 1024), (1024, 8)]),
        ("Question_Only", 1024, None, [(1024, 1024), (1024, 8)]),
        ("Bag_Of_Words", 600, None, [(600, 1024), (1024, 8)]),
        ("Image_Only", None, None, [(4096, 1000), (1000, 1000), (1000, 8)]),
    ],
)  # fmt: skip
def test_a_preset_has_the_studys_widths_and_learns_eight_samples(
    name, question_width, projections, funnel
):
    preset = PRESETS[name]
    sample = Sample(preset)
    model = sample.build(preset)
    assert getattr(model.language, "out_dim", None) == question_width
    assert funnel_widths(model) == funnel
    if projections is not None:
        image, question = model.fusion.image[0], model.fusion.question[0]
        assert (image.in_features, question.in_features) == projections
        assert image.out_features == question.out_features == 1024
    image = sample.image(model)
    frozen_loop = sample.in_loop and preset.images.trained == "none"
    if frozen_loop:  # random weights hardly tell images apart without statistics
        with torch.inference_mode():
            features = model.vision[0].eval()(image).numpy()
        model.vision[1] = FeatureNormaliser(features.shape[1], train_statistics(features))
    if preset.images is not None and preset.images.trained == "last block":
        assert {n for n, p in model.vision[0].network.named_parameters() if p.requires_grad} == {
            n for n, _ in model.vision[0].network.named_parameters() if n.startswith("layer4")
        }
    assert learns(model, image, sample, preset.schedule.learning_rate)


def learns(model: VQAModel, image, sample: Sample, rate: float) -> bool:
    """Whether every answer becomes right in evaluation.

    The running statistics of batch normalisation start at one and the study's normalised product
    is about a thousandth: they need most of these steps to come down.
    """
    learning = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learning, lr=rate, fused=True)
    for step in range(1, 151):
        model.train()
        loss = cross_entropy(model(image, sample.question, sample.lengths), sample.target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0:
            model.eval()
            with torch.inference_mode():
                logits = model(image, sample.question, sample.lengths)
            if (logits.argmax(1) == sample.target).all():
                return True
    return False
