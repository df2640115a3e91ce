"""What every test of downloads stands on: this machine asked without a proxy, and no pauses."""

import pytest

from tests.data.public.server import Server
from vqa_helpers.data.public import web


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    for name in ("http_proxy", "HTTP_PROXY", "VQA_MIRROR", "VQA_SOURCES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(web, "ATTEMPTS", 3)
    monkeypatch.setattr(web, "PAUSE_S", 0.0)
    monkeypatch.setattr(web, "TIMEOUT_S", 5.0)


@pytest.fixture
def server():
    with Server() as server:
        yield server
