"""Visual Question Answering from interchangeable pieces.

A question and an image become vectors, are fused and classified (`pieces`), learnt (`training`) and
measured (`evaluation`). Importing the package loads none of them: each part is imported where it is
used.

    import vqa_helpers as vqa

    model = vqa.load()                                  # or a run folder
    model.answer("photo.jpg", "what is on the table?")  # its five most probable answers
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vqa_helpers.answering import Answerer

__version__ = "0.1.0"


def load(folder: Path | str | None = None, **options: Any) -> "Answerer":
    """A model that answers: that of a run folder, or the one that comes with the package.

    Args:
        options: as `vqa_helpers.api.load` takes them.
    """
    from vqa_helpers import api

    return api.load(folder, **options)
