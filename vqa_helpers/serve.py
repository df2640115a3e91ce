"""A model behind a web page and an HTTP API: `vqa serve`.

The page and `POST /answer` go one way: what is sent is checked, waits for its turn, and is answered in
a thread, so that the event loop never stands still. Everything that arrives is taken for hostile, and
nothing of it is kept.
"""

import asyncio
import base64
import contextlib
import io
import json
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import psutil
import uvicorn
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from gradio import processing_utils
from jinja2 import Environment
from matplotlib.colors import to_hex
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from vqa_helpers.answering import Answerer, Answers
from vqa_helpers.errors import InputError
from vqa_helpers.features.pixels import BadImage, load_square
from vqa_helpers.report.cards import PROBABILITY
from vqa_helpers.report.style import readable_on
from vqa_helpers.why import reasons

log = logging.getLogger(__name__)
logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a line for each broken request

MOST_BYTES, MOST_CHARACTERS, MOST_WAITING = 10 * 2**20, 500, 16
MOST_BODY = 15 * 2**20  # base64 takes a third more than the photograph
ARRIVING_S, MOST_CONNECTIONS = 30, 128
UPLOADS = "vqa-serve-"  # a folder for a moment, named by the process
# Holds the browser to what the server promises: the page fetches nothing from anywhere else.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'"
ANSWERS = Environment(autoescape=True, trim_blocks=True).from_string(
    Path(__file__).with_name("serve.html").read_text(encoding="utf-8"),
    {"colour": lambda probability: to_hex(PROBABILITY(probability)), "readable_on": readable_on},
)


class Refused(gr.Error):
    """A request that is not answered, in one line, which the page shows and JSON holds."""

    def __init__(self, status_code: int, detail: str) -> None:
        super().__init__(detail, print_exception=False)
        self.status_code, self.detail = status_code, detail


class Asked(BaseModel):
    """A photograph, in JSON as base64, and a question about it."""

    model_config = ConfigDict(val_json_bytes="base64", str_strip_whitespace=True)
    image: bytes = Field(max_length=MOST_BYTES)
    question: str = Field(min_length=1, max_length=MOST_CHARACTERS, pattern=r"^[^\x00]*$")

    @field_validator("image", mode="before")
    @classmethod
    def only_base64(cls, sent: Any) -> Any:
        """The base64 of a data URI, which a browser's FileReader gives; without the line breaks and
        spaces that many encoders write."""
        if not isinstance(sent, str):
            return sent
        sent = "".join(sent.split())
        return sent.partition(",")[2] if sent[:5].lower() == "data:" else sent


def check(validate: Callable[..., Asked], sent: Any) -> Asked:
    """What was sent, by `Asked.model_validate` or `Asked.model_validate_json`.

    Raises:
        Refused: it is no photograph with a question.
    """
    try:
        return validate(sent)
    except ValidationError as error:
        [first, *_] = error.errors()
        status = 413 if first["type"] == "bytes_too_long" else 422
        where = ".".join(map(str, first["loc"])) or "body"
        what = {"string_too_short": "is empty; ask something"}.get(first["type"], first["msg"])
        raise Refused(status, f"{where}: {what}") from None


class Service:
    """A model and its blind counterpart, answering one request at a time."""

    def __init__(self, answerer: Answerer, blind: Answerer | None) -> None:
        self.answerer, self.blind = answerer, blind
        self._turn, self._here = CapacityLimiter(1), 0

    async def in_turn(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do some work in a thread, after what came before.

        Raises:
            Refused: too many wait already.
        """
        if self._here > MOST_WAITING:
            raise Refused(503, f"{MOST_WAITING} are waiting already; ask again in a moment")
        self._here += 1
        try:
            return await to_thread.run_sync(work, *given, limiter=self._turn)
        finally:
            self._here -= 1

    def answer(self, asked: Asked) -> dict[str, Any]:
        """The question, and what both models answer, most probable first."""
        seen = self.answerer.answer(self.square(asked.image), asked.question)
        blind = self.blind.answer(None, asked.question) if self.blind else ()
        return {"question": asked.question, "answers": _listed(seen), "blind": _listed(blind)}

    def look(self, asked: Asked) -> np.ndarray:
        """The square that the model saw with what counted lit, (S, S, 3) uint8."""
        return reasons(self.answerer, self.square(asked.image), asked.question).heat()

    def square(self, photograph: bytes) -> np.ndarray:
        """The square that the model sees, (S, S, 3) uint8; asked about it, it answers the same.

        Raises:
            Refused: the photograph cannot be read.
        """
        try:
            return load_square(io.BytesIO(photograph), self.answerer.config["image_size_px"])
        except BadImage as error:
            raise Refused(422, f"image: {error}; send a photograph that opens") from None


def _listed(answers: Answers) -> list[dict[str, Any]]:
    return [{"answer": answer.text, "probability": answer.probability} for answer in answers]


# ---------------------------------------------------------------- JSON


def bounded(app: Callable) -> Callable:
    """An application that sees a request once all of its body is there, which has bounds."""

    async def received(scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            return await app(scope, receive, send)
        body, size, answer = bytearray(), 0, app
        try:
            async with asyncio.timeout(ARRIVING_S):
                async for chunk in Request(scope, receive).stream():
                    size += len(chunk)
                    if size <= MOST_BODY:  # the rest is let pass: a sender listens afterwards
                        body += chunk
        except TimeoutError:
            line = f"not all arrived within {ARRIVING_S} seconds; send faster"
            answer = JSONResponse({"error": line}, 400)
        except ClientDisconnect:
            return None
        if size > MOST_BODY:
            line = f"send a photograph of at most {MOST_BYTES >> 20} MB"
            answer = JSONResponse({"error": line}, 413)
        replayed = iter([{"type": "http.request", "body": bytes(body)}])

        async def receive_again() -> dict:
            return next(replayed, None) or await receive()

        await answer(scope, receive_again, send)

    return received


async def refuse(_: Request, error: Refused | HTTPException) -> JSONResponse:
    """A refusal as JSON."""
    return JSONResponse({"error": error.detail}, error.status_code)


def make_app(service: Service) -> FastAPI:
    """`POST /answer`, `GET /about`, and the page."""
    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None,
        exception_handlers={Refused: refuse, HTTPException: refuse},
    )  # fmt: skip
    app.add_middleware(bounded)

    @app.post("/answer")
    async def answer(request: Request) -> dict[str, Any]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            asked = check(Asked.model_validate_json, await request.body())
        elif kind == "multipart/form-data":
            async with request.form(max_files=1, max_fields=2) as form:
                sent = dict(form)
                if isinstance(sent.get("image"), UploadFile):
                    sent["image"] = await sent["image"].read()
            asked = check(Asked.model_validate, sent)
        else:
            raise Refused(415, "send multipart/form-data or application/json")
        return await service.in_turn(service.answer, asked)

    @app.get("/about")
    async def about() -> dict[str, str | None]:
        return {"model": service.answerer.about, "blind": service.blind and service.blind.about}

    return gr.mount_gradio_app(
        app, make_page(service), "/", css_paths=Path(__file__).with_name("serve.css"),
        theme=gr.themes.Base(font="system-ui", font_mono="monospace"), ssr_mode=False,
        max_file_size=MOST_BYTES, footer_links=[], run_history=False, show_error=False,
    )  # fmt: skip


# ---------------------------------------------------------------- the page


def make_page(service: Service) -> gr.Blocks:
    """A photograph and a question; beside them the answers, and where the model looked."""

    async def take(path: str) -> AsyncIterator[tuple[str, str]]:
        # From now on the page holds what the model sees, and the photograph here is deleted.
        yield "", ""
        square = await service.in_turn(service.square, Path(path).read_bytes())
        yield _png(square), "<p>Ask about it.</p>"

    async def ask(square: str, question: str) -> AsyncIterator[str]:
        if not square:
            raise Refused(422, "drop a photograph first, and wait until it is there")
        sent = {"image": square, "question": question}
        asked = check(Asked.model_validate_json, json.dumps(sent))
        said = await service.in_turn(service.answer, asked)
        yield ANSWERS.render(said)
        yield ANSWERS.render(said, looked=_png(await service.in_turn(service.look, asked)))

    # Gradio's own files of the uploads are deleted every second, those older than five seconds.
    with gr.Blocks(analytics_enabled=False, title="Ask a photograph", delete_cache=(1, 5)) as page:
        gr.Markdown("# Ask a photograph")
        with gr.Row():
            with gr.Column():
                photo = gr.Image(label="Photograph", sources=["upload", "clipboard"], buttons=[])
                # As it is, it would open the file before `Service` does, in any format.
                photo.preprocess = lambda file: file and file.path
                question = gr.Textbox(
                    label="Question", placeholder="What color is the bus?", submit_btn="Ask",
                    max_length=MOST_CHARACTERS,
                )  # fmt: skip
            answers = gr.HTML("<p>Drop a photograph and ask about it.</p>", elem_id="answers")
        gr.HTML(f"<p>{escape(service.answerer.about)}</p>", elem_id="about")
        square = gr.Textbox(visible=False)
        usual = {"concurrency_limit": None, "api_visibility": "private"}  # `Service` has the queue
        photo.upload(take, photo, [square, answers], **usual)
        photo.clear(lambda: ("", ""), None, [square, answers], **usual)
        question.submit(ask, [square, question], answers, trigger_mode="always_last", **usual)
    # Within another application Gradio would read any file and any address that a request names.
    page.has_launched = True
    processing_utils.async_ssrf_protected_download = _never
    return page


async def _never(*_: Any, **__: Any) -> None:
    raise Refused(422, "image: send a photograph, not where it is")


def _png(square: np.ndarray) -> str:
    """A picture as PNG in base64."""
    packed = io.BytesIO()
    Image.fromarray(square).save(packed, format="PNG")
    return base64.b64encode(packed.getvalue()).decode()


# ---------------------------------------------------------------- the server


class Server(uvicorn.Server):
    """Stops quietly: requests cut off by an interruption are no error."""

    def handle_exit(self, *signalled: Any) -> None:
        logging.getLogger("uvicorn.error").disabled = True
        super().handle_exit(*signalled)


def serve(answerer: Answerer, blind: Answerer | None, host: str, port: int) -> None:
    """Answer on a port until interrupted.

    Args:
        blind: answers too, without the photograph; None for no such answers.
        port: 0 for a free one.

    Raises:
        InputError: for an address that cannot be had, or a model on the wrong side.
    """
    if answerer.model.vision is None or (blind and blind.model.vision is not None):
        raise InputError("RUN has to see photographs, and the run of --blind none; name such runs")
    try:
        listening = socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        what = getattr(error, "strerror", None) or error
        raise InputError(f"{host}, port {port}: {what}; choose another with --port") from None
    if host not in ("127.0.0.1", "localhost"):
        log.warning("%s: whoever reaches this machine can ask, and nothing is encrypted", host)
    for left in Path(tempfile.gettempdir()).glob(f"{UPLOADS}*-*"):  # of one that was killed
        owner = left.name.removeprefix(UPLOADS).partition("-")[0]
        if owner.isdecimal() and int(owner) not in psutil.pids():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{UPLOADS}{os.getpid()}-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        config = uvicorn.Config(
            make_app(Service(answerer, blind)), log_level="error", timeout_graceful_shutdown=1,
            headers=[("Content-Security-Policy", POLICY)], server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
        )  # fmt: skip
        print(f"http://{host}:{listening.getsockname()[1]}  (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            Server(config).run([listening])
    print("vqa: no longer serving", file=sys.stderr)
