"""A real web server on 127.0.0.1 whose behaviour is scripted, address by address."""

import hashlib
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from vqa_helpers.data.public.sources import File

Reply = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server.owner
        path = self.path.partition("?")[0]
        server.asked.append((path, dict(self.headers)))
        script = server.scripts.get(path, [])
        usual = well if path in server.files else status(404)
        try:
            (script.pop(0) if script else usual)(self, server.files.get(path, b""))
        except OSError:  # the client has gone
            self.close_connection = True

    def start(self, code, length=None, **headers):
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def first_byte(self):
        asked = self.headers.get("Range")
        return int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0

    def log_message(self, *_):
        pass


class Server:
    """Serves `files` by path; the replies of `scripts` come first, one a request."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.scripts: dict[str, list[Reply]] = {}
        self.asked: list[tuple[str, dict]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.owner, self._http.daemon_threads = self, True
        self._http.handle_error = lambda *_: None  # a client that goes away is no news here
        self.base = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()

    def file(self, path, content, *replies, told=True, mirrors=(), **fields) -> File:
        """Serve `content` at `path`, after `replies`; the file as a list of sources has it.

        Args:
            told: whether the list knows length and sum.
        """
        self.files[path] = content
        self.scripts[path] = list(replies)
        known = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        known = known if told else {"bytes": None, "sha256": None}
        return File(self.base + path, **(known | fields), mirrors=tuple(mirrors))

    def ranges(self, path=None):
        """The Range headers so far, None where there was none."""
        return [h.get("Range") for p, h in self.asked if path in (None, p)]

    def paths(self):
        return [path for path, _ in self.asked]


def well(handler, content, most=None, pause_s=0.0, ranged=True, named=True):
    """As it should be: Range and If-Range are honoured.

    Args:
        most: bytes after which the connection is cut, after a pause.
        ranged: whether a Range is honoured.
        named: whether the version is.
    """
    tag = f'"{hashlib.md5(content).hexdigest()}"'
    first = handler.first_byte() if ranged else 0
    first = first if handler.headers.get("If-Range", tag) == tag else 0
    named = {"ETag": tag} if named else {}
    if first >= len(content) > 0:
        return handler.start(416, 0, Content_Range=f"bytes */{len(content)}")
    said = {"Content_Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if first else {}
    handler.start(206 if first else 200, len(content) - first, **named, **said)
    handler.wfile.write(content[first:][:most])
    if most is not None:
        handler.wfile.flush()
        time.sleep(pause_s)
        handler.close_connection = True


def cut(count, pause_s=0.0, **options):
    """A good beginning, then nothing for a while, then the connection is cut."""
    return lambda handler, content: well(handler, content, count, pause_s, **options)


def status(code, body=b"", length=None, **headers):
    """A body, None for the content, under a Content-Length that need not be its own."""

    def reply(handler, content):
        sent = content if body is None else body
        handler.start(code, len(sent) if length is None else length, **headers)
        handler.wfile.write(sent)

    return reply


def declares(length):
    """The content under another Content-Length, and the end of the connection."""
    return status(200, None, length, ETag='"x"', Connection="close")


def claims_range(said, count=None, **headers):
    """What was asked for, so many bytes of it, under this Content-Range."""

    def reply(handler, content):
        rest = content[handler.first_byte() :][:count]
        handler.start(206, len(rest), Content_Range=said, **headers)
        handler.wfile.write(rest)

    return reply


def other(content):
    """Another content altogether."""
    return lambda handler, _: well(handler, content)


def endless(code, **headers):
    """A body without a length and without an end."""

    def reply(handler, _):
        handler.start(code, Connection="close", **headers)
        while True:
            handler.wfile.write(bytes(1 << 16))

    return reply


def chunked(handler, content):
    """The whole without a length."""
    handler.start(200, Transfer_Encoding="chunked")
    handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content))
