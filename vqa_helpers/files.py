"""Files written in one step: beside their place, flushed to disk, renamed over it.

A kill leaves the old file or the new one, never half of one.
"""

import os
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one step; parent folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Named by process: two that write the same file at once must not share a partial one.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path` in one step."""
    write_bytes(path, text.encode("utf-8"))
