"""Published vision-language models for comparison with ours: ViLT and BLIP, by `hf:NAME`.

NAME is a model of the Hugging Face hub or a folder that holds one, read by `transformers`: safetensors
alone, and never code of the repository. Its pieces fit each other and nothing else: photographs and
questions go side by side (`Together`) into the whole network, which scores the answers of a list.
"""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vqa_helpers.data.vocabulary import OUTSIDE, AnswerVocabulary
from vqa_helpers.errors import InputError, one_line
from vqa_helpers.files import sha256_of
from vqa_helpers.pieces.choice import Piece
from vqa_helpers.pieces.words import Words

log = logging.getLogger(__name__)

HUB = "hf:"
VILT = "hf:dandelin/vilt-b32-finetuned-vqa"
MOST_PIECES = 40  # of a text: what ViLT has places for
UNKNOWN_LOGIT = -9.2  # of an answer that ViLT's own layer lacks: one in ten thousand
_SKIPPED = -100  # a place that `cross_entropy` passes over


def read_published(kind: str, pretrained: str, **options: Any) -> Any:
    """What a class of `transformers` reads of a model: "AutoConfig", "AutoTokenizer", ….

    Raises:
        InputError: when the library or the model cannot be had.
    """
    try:
        import transformers
    except ModuleNotFoundError:
        line = f"{pretrained} needs transformers; pip install 'vqa-helpers[transformers]'"
        raise InputError(line) from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # a line for each of six tries
    name, options = pretrained.removeprefix(HUB), options | {"trust_remote_code": False}
    try:
        return getattr(transformers, kind).from_pretrained(name, **options)
    except Exception as error:  # the network's, the hub's and broken files have each their own
        raise InputError(
            f"{pretrained}: could not be had ({one_line(error, 160)}); connect to the network, or give "
            f"{HUB}FOLDER with its config.json, model.safetensors and the files of its tokenizer"
        ) from None


@cache
def config_of(pretrained: str) -> Any:
    """The configuration of a model."""
    return read_published("AutoConfig", pretrained)


def own_answers(pretrained: str) -> tuple[str, ...]:
    """The answers that a model was trained to choose from, in the order of its last layer; none for
    one that generates its answers or was not trained on questions."""
    config = config_of(pretrained)
    answers = tuple(config.id2label[i] for i in range(len(config.id2label)))
    return () if answers[0] == "LABEL_0" else answers


class Photographs(Piece):
    """Pixels in the colours that a published model was trained on.

    Args:
        pretrained: "hf:NAME".

    Attributes:
        size_px: side of the square that it sees.
        source: which weights exactly.
    """

    stored = False
    trained = "all"  # a run holds every weight

    def __init__(self, pretrained: str = VILT) -> None:
        super().__init__()
        config, processor = config_of(pretrained), read_published("AutoImageProcessor", pretrained)
        self.pretrained = self.weights = pretrained
        self.size_px = getattr(config, "vision_config", config).image_size
        files = sorted(Path(pretrained.removeprefix(HUB)).glob("*.safetensors"))
        commit = getattr(config, "_commit_hash", None)  # of the hub's; a folder has none
        exactly = f"commit {commit}" if commit else f"sha256 {', '.join(map(sha256_of, files))}"
        self.source = f"{pretrained}, {exactly}"
        for name, values in (("mean", processor.image_mean), ("std", processor.image_std)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.out_dim = 3

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S), 0 to 255, to the same, normalised."""
        return (image.float() / 255 - self.mean) / self.std


class WordPieces(Piece):
    """Questions as ids of word pieces, from the model's own tokenizer.

    Args:
        pretrained: "hf:NAME".
    """

    def __init__(self, pretrained: str = VILT) -> None:
        super().__init__()
        self.pretrained = pretrained
        self.tokenizer = read_published("AutoTokenizer", pretrained)
        self.out_dim = 1

    def encode(self, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """N texts to ids (N, T), padded right, and lengths (N,)."""
        return word_pieces(self.tokenizer, questions)

    def forward(self, ids: Tensor, lengths: Tensor) -> Words:
        """Ids (B, T) and lengths (B,) to the ids, and where there are any."""
        return Words(ids, torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1))


def word_pieces(tokenizer: Any, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """N texts to ids (N, T), padded right, and lengths (N,), the marks at both ends among them."""
    read = tokenizer(
        list(texts), padding=True, truncation=True, max_length=MOST_PIECES, return_tensors="pt"
    )
    return read["input_ids"], read["attention_mask"].sum(dim=1)


class Together(Piece):
    """Both inputs unchanged, for a network that joins them itself.

    Args:
        pretrained: "hf:NAME".
    """

    def __init__(self, image_dim: int, question_dim: int, pretrained: str) -> None:
        super().__init__()
        self.pretrained = pretrained
        self.out_dim = image_dim + question_dim

    def forward(self, image: Tensor, question: Words) -> tuple[Tensor, Words]:
        """(B, 3, S, S) and word pieces (B, T), unchanged."""
        return image, question


class _Network(Piece):
    """A whole network, which is given both sides and scores answers."""

    kind: str  # its class in transformers

    def __init__(self, pretrained: str, answers: int) -> None:
        super().__init__()
        self.pretrained, self.out_dim = pretrained, answers
        self.network = read_published(
            self.kind, pretrained, use_safetensors=True, dtype=torch.float32
        )


class ViLT(_Network):
    """One transformer over patches and word pieces; its last layer keeps the rows of the answers
    that can be given (Kim et al., "ViLT", 2021).

    Args:
        vocabulary: the answers that can be given; one that the layer lacks begins as improbable.
        pretrained: "hf:NAME".
    """

    kind = "ViltForQuestionAnswering"

    def __init__(self, in_dim: int, vocabulary: AnswerVocabulary, pretrained: str) -> None:
        super().__init__(pretrained, len(vocabulary))
        own = AnswerVocabulary(own_answers(pretrained)).encode(vocabulary.answers)
        known = torch.from_numpy(own != OUTSIDE)
        log.info("%s: has learnt %d of the %d answers", pretrained, known.sum(), len(known))
        learnt = self.network.classifier[-1]
        layer = nn.Linear(learnt.in_features, len(vocabulary))
        rows = own.clip(min=0)
        layer.weight = nn.Parameter(learnt.weight[rows] * known.unsqueeze(1))
        layer.bias = nn.Parameter(learnt.bias[rows].where(known, UNKNOWN_LOGIT))
        self.network.classifier[-1] = layer

    def forward(self, both: tuple[Tensor, Words]) -> Tensor:
        """Photographs (B, 3, S, S) and word pieces (B, T) to logits (B, answers)."""
        image, question = both
        # It draws an order of the patches, which must not change the last digits of an answer.
        with torch.random.fork_rng(devices=[], enabled=not self.training):
            if not self.training:
                torch.default_generator.manual_seed(0)
            return self.network(
                input_ids=question.vectors, attention_mask=question.there.long(),
                pixel_values=image, pixel_mask=torch.ones_like(image[:, 0], dtype=torch.long),
            ).logits  # fmt: skip


class BLIP(_Network):
    """A network that generates its answer: the logit of an answer is the log probability of
    generating it (Li et al., "BLIP", 2022, section 4.3: answers are ranked). All of a list are
    scored for every question, a thousand of them in seconds on a GPU.

    Args:
        vocabulary: the answers that are ranked.
        pretrained: "hf:NAME".
    """

    kind = "BlipForQuestionAnswering"

    def __init__(self, in_dim: int, vocabulary: AnswerVocabulary, pretrained: str) -> None:
        super().__init__(pretrained, len(vocabulary))
        tokenizer = read_published("AutoTokenizer", pretrained)
        ids, lengths = word_pieces(tokenizer, vocabulary.answers)
        ids[:, 0] = self.network.decoder_start_token_id
        there = torch.arange(ids.shape[1]) < lengths.unsqueeze(1)
        self.register_buffer("ids", ids, persistent=False)  # (A, T)
        self.register_buffer("targets", ids.masked_fill(~there, _SKIPPED)[:, 1:], persistent=False)

    def forward(self, both: tuple[Tensor, Words]) -> Tensor:
        """Photographs (B, 3, S, S) and word pieces (B, T) to logits (B, answers)."""
        image, question = both
        seen = self.network.vision_model(pixel_values=image).last_hidden_state
        states = self.network.text_encoder(
            input_ids=question.vectors, attention_mask=question.there.long(),
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones_like(seen[..., 0], dtype=torch.long),
        ).last_hidden_state  # fmt: skip
        pairs = zip(states, question.there, strict=True)
        return torch.stack([self._rank(of_one[there]) for of_one, there in pairs])

    def _rank(self, question: Tensor) -> Tensor:
        """The states (T, D) of a question that was asked of its photograph to the log probability of
        each answer, (A,)."""
        states = question.expand(len(self.ids), -1, -1)
        written = self.network.text_decoder(
            input_ids=self.ids[:, :-1], attention_mask=(self.targets != _SKIPPED).long(),
            encoder_hidden_states=states, use_cache=False,
            encoder_attention_mask=torch.ones_like(states[..., 0], dtype=torch.long),
        ).logits  # fmt: skip
        losses = cross_entropy(written.mT, self.targets, ignore_index=_SKIPPED, reduction="none")
        return -losses.sum(dim=1)
