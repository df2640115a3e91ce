"""Checkpoints and saved models: atomic, checked, refused when they do not fit."""

import errno
import os
import random

import pytest
import torch
from safetensors.torch import load_file, save_file

from vqa_helpers.data.vocabulary import WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.classifier import Funnel
from vqa_helpers.pieces.fusion import OneSide
from vqa_helpers.pieces.language import GloveBiLSTM
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.training import checkpoint
from vqa_helpers.training.checkpoint import CHECKPOINT, MODEL, model_is_intact

STATE = {
    "config": "{}",
    "history": "[]",
    "trainer": {"model": {"weight": torch.arange(50.0)}, "epoch": 3, "empty": []},
}


def small_model(hidden: int = 3) -> VQAModel:
    words = WordVocabulary(("<pad>", "<unknown>", "what", "is"))
    language = GloveBiLSTM(words, dim=5, hidden=hidden)
    torch.nn.init.normal_(language.embedding.weight)  # frozen, and saved all the same
    fusion = OneSide(0, language.out_dim)
    return VQAModel(None, language, fusion, Funnel(fusion.out_dim, (3,), 4, batch_norm=True))


@pytest.fixture(autouse=True)
def with_its_model(monkeypatch):
    """A checkpoint is of use beside the best epoch's model, which most tests here do not need."""
    monkeypatch.setattr(checkpoint, "model_is_intact", lambda folder: True)


def test_a_checkpoint_outlives_a_failed_write_comes_back_and_goes(tmp_path, monkeypatch):
    assert checkpoint.load_checkpoint(tmp_path, {}) is None
    checkpoint.save_checkpoint(tmp_path, STATE)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device.*checkpoint.pt"):
        checkpoint.save_checkpoint(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    state = checkpoint.load_checkpoint(tmp_path, {})
    assert state["trainer"]["epoch"] == 3
    assert torch.equal(state["trainer"]["model"]["weight"], torch.arange(50.0))
    for _ in range(2):  # a second time is no error
        checkpoint.remove_checkpoint(tmp_path)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", None])
def test_what_is_no_checkpoint_starts_again_with_a_warning(tmp_path, caplog, content):
    torch.save([1, 2], tmp_path / CHECKPOINT)  # what torch wrote for others
    if content is not None:
        (tmp_path / CHECKPOINT).write_bytes(content)
    assert checkpoint.load_checkpoint(tmp_path, {}) is None
    assert f"{tmp_path / CHECKPOINT}: is damaged" in caplog.text


def test_damage_never_raises_and_weights_are_checked_to_the_bit(tmp_path):
    checkpoint.save_checkpoint(tmp_path, STATE)
    written = (tmp_path / CHECKPOINT).read_bytes()
    weights = torch.arange(50.0).numpy().tobytes()
    start = written.index(weights)
    draw, refused = random.Random(1), 0
    for length in range(0, len(written), 301):
        (tmp_path / CHECKPOINT).write_bytes(written[:length])
        assert checkpoint.load_checkpoint(tmp_path, {}) is None
    for _ in range(20):
        flipped = bytearray(written)
        flipped[start + draw.randrange(len(weights))] ^= 1 << draw.randrange(8)
        (tmp_path / CHECKPOINT).write_bytes(flipped)
        assert checkpoint.load_checkpoint(tmp_path, {}) is None
    for _ in range(80):
        damaged = bytearray(written)
        for _ in range(draw.choice([1, 5, 40])):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        (tmp_path / CHECKPOINT).write_bytes(damaged)
        state = checkpoint.load_checkpoint(tmp_path, {})
        refused += state is None
        if state is not None:  # only bytes that carry nothing were hit
            assert torch.equal(state["trainer"]["model"]["weight"], torch.arange(50.0))
    assert refused > 40


def test_a_saved_model_comes_back_in_the_same_bytes(tmp_path):
    saved, fresh = small_model(), small_model()
    checkpoint.save_model(tmp_path, checkpoint.copy_of(saved))
    first = (tmp_path / MODEL).read_bytes()
    checkpoint.load_model(tmp_path, fresh)
    for name, tensor in saved.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name
    checkpoint.save_model(tmp_path, checkpoint.copy_of(fresh))
    assert (tmp_path / MODEL).read_bytes() == first
    assert model_is_intact(tmp_path)


@pytest.mark.parametrize("damage", ["other", "lacks", "truncated", "flipped", "empty", "missing"])
def test_a_damaged_model_is_named(tmp_path, damage):
    model = small_model(hidden=4 if damage == "other" else 3)
    checkpoint.save_model(tmp_path, checkpoint.copy_of(model))
    path = tmp_path / MODEL
    state, content = load_file(path), path.read_bytes()
    if damage == "lacks":
        state.pop("classifier.layers.0.weight")
        save_file(state, path)
    elif damage == "missing":
        path.unlink()
    elif damage != "other":
        flipped = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
        path.write_bytes({"truncated": content[:-9], "flipped": flipped, "empty": b""}[damage])
    line = "model.safetensors: does not fit.*train the run again"
    with pytest.raises(InputError, match=line) as error:
        checkpoint.load_model(tmp_path, small_model())
    assert str(error.value) == " ".join(str(error.value).split())
    assert model_is_intact(tmp_path) == (damage in ("other", "lacks"))
