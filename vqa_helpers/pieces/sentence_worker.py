"""Runs a sentence encoder stored as a TensorFlow SavedModel, in a process of its own.

TensorFlow takes every GPU when it starts and is slow to import, so it never enters the process that
trains: another one, without a GPU, loads the model once and is given a batch at a time.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from functools import cache
from http.client import HTTPException

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor

from vqa_helpers.errors import InputError, one_line
from vqa_helpers.progress import track

BATCH = 512
DOWNLOAD_SILENCE_S = 60.0  # a blocked connection fails after this, instead of hanging
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}


class Unavailable(Exception):
    """The model could not be fetched: no network, or no tensorflow-hub to fetch it with."""


def embed_in_subprocess(source: str, questions: list[str], width: int) -> np.ndarray:
    """Embed questions with a SavedModel, on the CPU, in a separate process.

    Args:
        source: a folder that holds `saved_model.pb`, or an https handle of TensorFlow Hub.
        questions: the texts, at least one.
        width: the width each vector must have.

    Returns:
        (N, width) float32, finite, rows in the order given.

    Raises:
        Unavailable: the handle could not be fetched.
        InputError: TensorFlow is missing, or the model does not load, run or fit.
    """
    starts = range(0, len(questions), BATCH)
    rows = []
    with _process() as run:
        for start in track(starts, "sentences embedded", unit=f"batches of {BATCH}"):
            rows.append(run(embed, source, questions[start : start + BATCH], width))
    return np.concatenate(rows)


def fetch_in_subprocess(handle: str) -> None:
    """Download a handle of TensorFlow Hub into its cache, unless it is there.

    Raises:
        Unavailable: it could not be fetched.
        InputError: TensorFlow is missing.
    """
    import requests

    try:
        requests.head(handle, timeout=DOWNLOAD_SILENCE_S)  # before TensorFlow's seven seconds
    except requests.RequestException as error:
        raise Unavailable(f"{handle} cannot be reached ({type(error).__name__})") from None
    with _process() as run:
        run(_fetch, handle)


@contextmanager
def _process() -> Iterator[Callable]:
    """A process of TensorFlow's own: what is called in it comes back."""
    # Loky's processes, unlike the standard library's, do not run the main script again.
    process = ProcessPoolExecutor(1, env=ENVIRONMENT)
    try:
        yield lambda function, *given: process.submit(function, *given).result()
    except BrokenExecutor as error:
        remedy = "is there enough memory, and does `import tensorflow` work?"
        why = f"the sentence encoder's process has ended ({one_line(error, 200)}); {remedy}"
        raise InputError(why) from None
    finally:
        process.shutdown(kill_workers=True)


def embed(source: str, questions: list[str], width: int) -> np.ndarray:
    """The vectors of a batch, (N, width) float32; in the process of TensorFlow."""
    model = _load(source)
    import tensorflow as tf

    try:
        result = model(tf.constant(questions))
        if isinstance(result, dict) and len(result) == 1:  # a signature names its outputs
            (result,) = result.values()
        vectors = np.asarray(result, dtype=np.float32)
    except (TypeError, ValueError, tf.errors.OpError) as error:
        line = f"the model does not take a batch of strings ({one_line(error, 200)})"
        raise InputError(f"{source}: {line}; is it a sentence encoder?") from None
    if vectors.shape != (len(questions), width) or not np.isfinite(vectors).all():
        raise InputError(
            f"{source}: the model returns shape {vectors.shape} for {len(questions)} questions, or "
            f"values that are not finite; expected ({len(questions)}, {width}): is it the Universal "
            "Sentence Encoder 4?"
        )
    return vectors


@cache
def _load(source: str) -> Callable:
    """The function inside a SavedModel that maps a batch of strings to vectors."""
    try:
        import tensorflow as tf
    except (ImportError, OSError, SystemError) as error:
        raise InputError(
            f"TensorFlow cannot be imported by {sys.executable} ({one_line(error, 200)}): "
            "`pip install tensorflow`, or use --offline for the packaged encoder"
        ) from None
    folder = _fetch(source) if source.startswith("https://") else source
    try:
        model = tf.saved_model.load(folder)
    except (OSError, ValueError, KeyError, RuntimeError, tf.errors.OpError) as error:
        raise InputError(
            f"{folder}: TensorFlow cannot load this SavedModel ({one_line(error, 200)}); "
            "unpack it again, with its `variables` folder beside `saved_model.pb`"
        ) from None
    if callable(model):
        return model
    if "serving_default" in model.signatures:
        return model.signatures["serving_default"]
    raise InputError(f"{folder}: the SavedModel has nothing to call; is it a sentence encoder?")


def _fetch(handle: str) -> str:
    """The folder TensorFlow Hub has unpacked a handle into, downloading it at need."""
    import socket

    import tensorflow as tf

    try:
        import tensorflow_hub
    except ImportError as error:
        remedy = "tensorflow-hub"
        if "pkg_resources" in str(error):
            remedy = "'setuptools<82'"  # tensorflow-hub imports a module that left setuptools
        raise Unavailable(f"{one_line(error, 200)}: `pip install {remedy}`") from error
    socket.setdefaulttimeout(DOWNLOAD_SILENCE_S)
    try:
        return tensorflow_hub.resolve(handle)
    except (OSError, EOFError, ValueError, HTTPException, tf.errors.OpError) as error:
        raise Unavailable(f"{handle} cannot be downloaded ({one_line(error, 200)})") from error
