"""A model behind a web page, and the same as JSON over HTTP: `vqa serve`.

The page and `POST /answer` go one way: what is sent is checked, waits for its turn, and is answered in
a thread, so that the event loop never stands still. Everything that arrives is taken for hostile, and
nothing of it is kept.
"""

import asyncio
import base64
import contextlib
import io
import ipaddress
import logging
import os
import socket
import sys
import tempfile
import unicodedata
from collections.abc import AsyncIterator, Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import uvicorn
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from matplotlib.colors import to_hex
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as AnyHTTPException

from vqa_helpers.answering import Answerer
from vqa_helpers.errors import InputError
from vqa_helpers.features.pixels import MOST_PIXELS, load_square
from vqa_helpers.report.cards import PROBABILITY
from vqa_helpers.report.style import readable_on
from vqa_helpers.why import looked_at

log = logging.getLogger(__name__)
logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a line for each broken request

MOST_BYTES, MOST_CHARACTERS, MOST_WAITING = 10 * 2**20, 500, 16
MOST_BODY = 15 * 2**20  # base64 takes a third more than the photograph
MOST_BODIES, BODY_S = 64, 30  # received at the same time; seconds for each
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # of others Pillow runs EPS in Ghostscript
# The browser is held to what the server promises: the page fetches nothing from anywhere else.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'"


class Asked(BaseModel):
    """A photograph, in JSON as base64, and a question about it."""

    model_config = ConfigDict(val_json_bytes="base64", str_strip_whitespace=True)
    image: bytes = Field(max_length=MOST_BYTES)
    question: str = Field(min_length=1, max_length=MOST_CHARACTERS)

    @field_validator("question")
    @classmethod
    def _is_text(cls, question: str) -> str:
        if any(unicodedata.category(c) == "Cc" and not c.isspace() for c in question):
            raise PydanticCustomError("control", "holds control characters; send plain text")
        return question


class Desk:
    """A model and a blind one, which answer one question after another.

    Every method raises HTTPException, whose one line is for whoever asked.
    """

    def __init__(self, answerer: Answerer, blind: Answerer | None) -> None:
        self.answerer, self.blind = answerer, blind
        self._turn = CapacityLimiter(1)

    async def answer(self, asked: Asked) -> dict[str, Any]:
        """The question, and what both models answer, most probable first."""
        return await self._in_turn(self._answer, asked)

    async def look(self, asked: Asked) -> np.ndarray:
        """The square that the model saw with what counted lit, (S, S, 3) uint8."""
        return await self._in_turn(
            lambda: looked_at(self.answerer, self._square(asked.image), asked.question)
        )

    async def shrink(self, photograph: bytes) -> bytes:
        """The square that the model sees, as PNG: asked about it, it answers the same."""
        return await self._in_turn(lambda: _as_png(self._square(photograph)))

    async def _in_turn(self, work: Callable[..., Any], *given: Any) -> Any:
        if self._turn.statistics().tasks_waiting >= MOST_WAITING:
            raise HTTPException(503, f"{MOST_WAITING} are waiting already; ask again in a moment")
        return await to_thread.run_sync(work, *given, limiter=self._turn)

    def _answer(self, asked: Asked) -> dict[str, Any]:
        seen = self.answerer.answer(self._square(asked.image), asked.question)
        blind = self.blind.answer(None, asked.question) if self.blind else []
        return {
            "question": asked.question,
            "answers": [{"answer": a.text, "probability": a.probability} for a in seen],
            "blind": [{"answer": a.text, "probability": a.probability} for a in blind],
        }

    def _square(self, photograph: bytes) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(photograph), formats=FORMATS) as image:
                return load_square(image, self.answerer.config["image_size_px"])
        except Exception:  # Pillow raises whatever it likes for damaged files
            raise HTTPException(
                422,
                "image: is damaged, too large, or no photograph; send a JPEG, PNG, WebP, GIF, BMP or "
                f"TIFF of at most {MOST_PIXELS // 10**6} megapixels",
            ) from None


def _as_png(square: np.ndarray) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(square).save(packed, format="PNG")
    return packed.getvalue()


# ---------------------------------------------------------------- JSON


class Bodies:
    """Receives each body before the application sees it, within bounds of size and time."""

    def __init__(self, app: Callable) -> None:
        self.app, self.open = app, 0

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            return await self.app(scope, receive, send)
        if self.open >= MOST_BODIES:
            refusal = _refusal(503, f"{MOST_BODIES} are sending already; ask again in a moment")
            return await refusal(scope, receive, send)
        body, size, more = bytearray(), 0, True
        self.open += 1
        try:
            async with asyncio.timeout(BODY_S):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunk, more = message.get("body", b""), message.get("more_body", False)
                    size += len(chunk)
                    if size <= MOST_BODY:  # the rest is let pass: a sender listens afterwards
                        body += chunk
        except TimeoutError:
            refusal = _refusal(400, f"the request did not arrive within {BODY_S} seconds")
            return await refusal(scope, receive, send)
        finally:
            self.open -= 1
        if size > MOST_BODY:
            line = f"{size} bytes; send a photograph of at most {MOST_BYTES >> 20} MB"
            return await _refusal(413, line)(scope, receive, send)
        whole = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def receive_again() -> dict:
            return whole.pop() if whole else await receive()

        await self.app(scope, receive_again, send)


def _refusal(status: int, line: str) -> JSONResponse:
    return JSONResponse({"error": line}, status)


async def _read(request: Request) -> Asked:
    """What a request asks, or HTTPException."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            return Asked.model_validate_json(await request.body())
        if kind == "multipart/form-data":
            async with request.form(max_files=1, max_fields=2) as form:
                sent = {
                    name: await value.read() if isinstance(value, UploadFile) else value
                    for name, value in form.items()
                }
            return Asked.model_validate(sent)
    except ValidationError as error:
        first = error.errors()[0]
        status = 413 if first["type"] == "bytes_too_long" else 422
        where = first["loc"][0] if first["loc"] else "the body"
        raise HTTPException(status, f"{where}: {first['msg']}") from None
    raise HTTPException(
        415, "send multipart/form-data, or application/json with the photograph in base64"
    )


def make_app(desk: Desk) -> FastAPI:
    """`POST /answer`, `GET /about`, and the page on every other address."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Bodies)

    @app.exception_handler(AnyHTTPException)
    async def refuse(_: Request, error: AnyHTTPException) -> JSONResponse:
        return _refusal(error.status_code, error.detail)

    @app.post("/answer")
    async def answer(request: Request) -> dict[str, Any]:
        return await desk.answer(await _read(request))

    @app.get("/about")
    async def about() -> dict[str, str | None]:
        return {"model": desk.answerer.about, "blind": desk.blind and desk.blind.about}

    return gr.mount_gradio_app(
        app, make_page(desk), "/", css_paths=Path(__file__).with_name("serve.css"),
        theme=gr.themes.Base(font="system-ui", font_mono="monospace"), ssr_mode=False,
        max_file_size=MOST_BYTES, footer_links=[], run_history=False, show_error=False,
    )  # fmt: skip


# ---------------------------------------------------------------- the page


def make_page(desk: Desk) -> gr.Blocks:
    """A photograph and a question; beside them the answers, and where the model looked."""

    async def shrink(path: str | None) -> str:
        # The page holds the square from now on, and the server may forget the photograph.
        with _shown():
            return path and base64.b64encode(await desk.shrink(Path(path).read_bytes())).decode()

    async def ask(square: str | None, question: str) -> AsyncIterator[str]:
        with _shown():
            if not square:
                raise HTTPException(422, "drop a photograph first")
            try:
                asked = Asked(image=base64.b64decode(square), question=question)
            except ValueError:
                line = f"ask something, in plain text of at most {MOST_CHARACTERS} characters"
                raise HTTPException(422, line) from None
            said = await desk.answer(asked)
            answers = f"<h2>{escape(said['question'])}</h2>{_strip('With the photograph', said['answers'])}"
            if desk.blind:
                answers += _strip("Without it: a model that never sees one", said["blind"])
            yield answers + '<p class="looking">Where it looked …</p>'
            lit = base64.b64encode(_as_png(await desk.look(asked))).decode()
            yield (
                f'{answers}<h3>Where it looked</h3><img class="looked" alt="what counted, lit" '
                f'src="data:image/png;base64,{lit}"><p>Lit: what, covered, makes the first answer '
                "less probable.</p>"
            )

    with gr.Blocks(analytics_enabled=False, title="Ask a photograph", delete_cache=(1, 5)) as page:
        gr.Markdown("# Ask a photograph")
        with gr.Row():
            with gr.Column():
                photograph = gr.Image(
                    label="Photograph", sources=["upload", "clipboard"], buttons=[]
                )
                # As it is, it would open the file before `Desk` does, in any format.
                photograph.preprocess = lambda file: file and file.path
                question = gr.Textbox(
                    label="Question", placeholder="What color is the bus?", submit_btn="Ask",
                    max_length=MOST_CHARACTERS,
                )  # fmt: skip
            answers = gr.HTML("<p>Drop a photograph and ask about it.</p>", elem_id="answers")
        gr.HTML(f"<p>{escape(desk.answerer.about)}</p>", elem_id="about")
        square = gr.Textbox(visible=False)
        unlimited = {"concurrency_limit": None, "api_visibility": "private"}  # `Desk` has the queue
        photograph.upload(shrink, photograph, square, **unlimited)
        photograph.clear(lambda: None, None, square, **unlimited)
        question.submit(ask, [square, question], answers, **unlimited)
    return page


@contextlib.contextmanager
def _shown():
    """Show a refusal on the page."""
    try:
        yield
    except HTTPException as error:
        raise gr.Error(error.detail, print_exception=False) from None


def _strip(title: str, answers: list[dict[str, Any]]) -> str:
    """Answers as cells coloured by probability, as on the cards."""
    cells = ""
    for answer in answers:
        fill = to_hex(PROBABILITY(answer["probability"]))
        cells += (
            f'<li style="background:{fill};color:{readable_on(fill)}">{escape(answer["answer"])}'
            f"<b>{100 * answer['probability']:.0f} %</b></li>"
        )
    return f'<h3>{title}</h3><ol class="strip">{cells}</ol>'


# ---------------------------------------------------------------- the server


def serve(answerer: Answerer, blind: Answerer | None, host: str, port: int) -> None:
    """Answer on a port until interrupted.

    Args:
        blind: answers beside it, without the photograph; None for no such answers.
        port: 0 for a free one.

    Raises:
        InputError: for an address that cannot be had, or a model on the wrong side.
    """
    if answerer.model.vision is None:
        raise InputError("the model sees no photograph; name one that does, and this with --blind")
    if blind and blind.model.vision is not None:
        raise InputError("the model of --blind sees the photograph; name one that does not")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        what = getattr(error, "strerror", None) or error
        raise InputError(f"{host}, port {port}: {what}; choose another with --port") from None
    host, port = listening.getsockname()[:2]
    if not ipaddress.ip_address(host).is_loopback:
        log.warning("%s: whoever reaches this machine can ask, and nothing is encrypted", host)
    with tempfile.TemporaryDirectory(prefix="vqa-serve-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads
        config = uvicorn.Config(
            make_app(Desk(answerer, blind)), log_level="error", timeout_graceful_shutdown=1,
            headers=[("Content-Security-Policy", POLICY)], server_header=False,
        )  # fmt: skip
        print(f"http://{f'[{host}]' if ':' in host else host}:{port}  (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run([listening])
    print("vqa: no longer serving", file=sys.stderr)
