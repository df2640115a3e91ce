"""A real browser without a window, driven over its DevTools protocol.

Chromium reads commands from one pipe and writes to another, each message ended by a zero byte, so
no port is opened and no package is needed. Names cannot be resolved in it: whatever a page asks for
stays on this machine, and is noted.
"""

import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LIMIT_S = 60.0
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-extensions "
    "--allow-file-access-from-files=false --remote-debugging-pipe about:blank"
).split() + ["--host-resolver-rules=MAP * ~NOTFOUND"]
CHECKS = Path(__file__).with_name("page_checks.js").read_text(encoding="utf-8")


def find_browser() -> str | None:
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One page of a browser; `open`, then ask.

    Attributes:
        complaints: errors and warnings of the console, exceptions, breaches of the content policy.
        requests: addresses asked for since `open`.
    """

    def __init__(self, program: str, *flags: str) -> None:
        self.profile = tempfile.mkdtemp(prefix="browser-")
        there, self._write = os.pipe()
        self._read, back = os.pipe()
        # The browser takes commands from descriptor 3 and answers on 4.
        words = ["bash", "-c", f'exec "$0" "$@" 3<&{there} 4>&{back}', program, *FLAGS, *flags]
        self.process = subprocess.Popen(
            [*words, f"--user-data-dir={self.profile}"], pass_fds=(there, back),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(there)
        os.close(back)
        self._rest, self._number, self._loaded, self._page = b"", 0, False, {}
        self.complaints: list[str] = []
        self.requests: list[str] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=page, flatten=True)
        self._page = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        self.send("Browser.close")
        self.process.wait(LIMIT_S)
        os.close(self._read)
        os.close(self._write)
        shutil.rmtree(self.profile, ignore_errors=True)

    def send(self, method: str, **parameters: object) -> dict:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._page}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, page: Path | str, width: int = 1280) -> None:
        """Load a page, a file or an address, and wait until it is there."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
        self.complaints, self.requests, self._loaded = [], [], False
        address = page if isinstance(page, str) else page.resolve().as_uri()
        self.send("Page.navigate", url=address)
        while not self._loaded:
            self._next()
        self.run(CHECKS + "nextFrame()")

    def run(self, expression: str) -> object:
        """The value of a JavaScript expression; the page's content policy does not bind it."""
        result = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def prefer(self, colours: str) -> None:
        """What the reader's system prefers: "dark" or "light"."""
        features = [{"name": "prefers-color-scheme", "value": colours}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def _next(self) -> dict:
        """The next message; what events tell is noted."""
        until = time.monotonic() + LIMIT_S
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            read = os.read(self._read, 1 << 20)
            assert read, "the browser ended"
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(line)
        told = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.complaints.append(told["entry"]["text"])
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
                self.complaints.append(str(told))
        return message


def check_reads_well(browser, page: Path, widths: list[int]) -> None:
    """Silent, alone, nothing cut off, and every text legible by day and by night."""
    for width in widths:
        browser.open(page, width)
        browser.run("openAll()")
        assert browser.complaints == [], page.name
        away = [one for one in browser.requests if not one.startswith("data:image/")]
        assert away == [page.as_uri()], page.name
        assert browser.run("document.documentElement.scrollWidth") <= width, page.name
        assert browser.run("stickingOut()") == [], page.name
        assert max(browser.run("intervalHeights()"), default=0) < 2, page.name  # in ems
    for colours in ("dark", "light"):
        browser.prefer(colours)
        measured = browser.run("contrasts()")
        faint = [(ratio, text) for ratio, text in measured if ratio < 4.5]
        assert len(measured) > 20 and faint == [], (page.name, colours)


def without_script(page: Path, folder: Path) -> Path:
    """A copy of a page in `folder`, as one reads it whose browser runs no script."""
    text = re.sub("<script>.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.S)
    copy = folder / page.name
    copy.write_text(text, encoding="utf-8")
    return copy
