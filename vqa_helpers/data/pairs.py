"""Balanced pairs: one question, two photographs, two answers.

VQA v2 asks most questions of two similar photographs that answer them differently, so that no guess
from the words alone gets both right (Goyal et al., 2017, section 3). A model trained on one half
and tested on the other has learnt the wrong answer, so a split must not separate pairs.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from vqa_helpers.data.formats import Id, Tables, question_files
from vqa_helpers.data.json_files import read_as
from vqa_helpers.errors import InputError

PAIRS = "complementary_pairs.json"  # in a folder that `build` made; the release's names end in it
MOST_PHOTOGRAPHS = 4  # that share a rare question: two pairs may happen to have the same words
# Of the yes/no questions of exactly two photographs chance answers at most one half oppositely. How
# many standard errors more are far above that; measured: VQA v2 26 (79.0 % of 1,970), a part of it
# that lacks many halves 10 (63.3 % of 1,361), the demo -1 (35 % of 20); DAQUAR has no such question.
FAR_ABOVE_CHANCE = 4

_LIST = re.compile(r"(v2_mscoco_\w+_)?" + re.escape(PAIRS) + r"(\.gz)?")


_Info = msgspec.defstruct("Info", [("version", str, "")])
_Header = msgspec.defstruct("Header", [("info", _Info)])


@dataclass(frozen=True)
class Pairs:
    """The pairs of a dataset, whatever became of its splits.

    Attributes:
        ids: (P, 2) question ids: a question, and the same of another photograph.
        known_by: how they were found, for people.
    """

    ids: np.ndarray
    known_by: str = ""

    def within(self, table: pd.DataFrame) -> np.ndarray:
        """The rows of a table that are pairs, (Q, 2): both halves are there."""
        ids = pd.Index(table["question_id"])
        rows = np.stack([ids.get_indexer(half) for half in self.ids.T], axis=1)
        return rows[(rows >= 0).all(axis=1)]

    def balanced(self, table: pd.DataFrame) -> np.ndarray:
        """The rows of an answered table that are pairs with different answers, (Q, 2)."""
        rows = self.within(table)
        first, second = table["answer"].to_numpy()[rows].T
        return rows[first != second]

    def count(self, tables: Iterable[pd.DataFrame]) -> tuple[int, int]:
        """How many balanced pairs the answered of the tables hold, and how many of these stand
        apart, in two tables."""
        answered = [table[["question_id", "answer"]] for table in tables if "answer" in table]
        if not answered:
            return 0, 0
        every = pd.concat(answered, keys=range(len(answered))).drop_duplicates("question_id")
        first, second = every.index.get_level_values(0).to_numpy()[self.balanced(every)].T
        return len(first), int((first != second).sum())

    def groups(self, table: pd.DataFrame) -> np.ndarray:
        """A number for each row of a table, (N,): that of its photograph and of all that pairs join
        to it, over others too. Numbers go from 0, in the order of the image ids."""
        images, image = np.unique(table["image_id"].to_numpy(), return_inverse=True)
        joined = image[self.within(table)].T
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        graph = coo_array((np.ones(joined.shape[1]), tuple(joined)), shape=2 * images.shape)
        return connected_components(graph, directed=False)[1][image]


def same_wording(table: pd.DataFrame) -> Pairs:
    """Every two neighbours, by image, among the askings of one text (case does not matter): like balanced
    pairs, for data whose questions were not asked in pairs."""
    asked = table.assign(text=table["question"].str.lower().str.strip())
    asked = asked.sort_values(["text", "image_id", "question_id"])
    following = asked[["question_id", "text", "image_id"]].shift(-1)
    paired = asked["text"].eq(following["text"]) & asked["image_id"].ne(following["image_id"])
    ids = np.stack([asked["question_id"][paired], following["question_id"][paired]], axis=1)
    return Pairs(ids.astype(np.int64), "the same words")


NO_PAIRS = Pairs(np.empty((0, 2), dtype=np.int64))


def find_pairs(folder: Path, tables: Tables) -> Pairs:
    """The pairs of a folder's questions: those of the release's lists where these lie in it and name
    any of the questions, else, where the data are VQA v2, questions of two to four photographs.

    The data are VQA v2 where the file names or `info.version` say so, or else where yes/no questions
    of two photographs have opposite answers far more often than by chance.

    Args:
        tables: the splits as the folder has them, answered or not.

    Raises:
        InputError: for a malformed list.
    """
    if lists := pair_lists(folder):
        ids = np.concatenate([_read_list(path) for path in lists])
        if any(table["question_id"].isin(ids.ravel()).any() for table in tables.values()):
            return Pairs(ids, "as listed")
    rare = _rare(tables)
    if _says_v2(folder) or _are_opposite(rare):
        ids = rare[["question_id", "question_id_other"]].to_numpy(dtype=np.int64)
        return Pairs(ids, "rare questions that photographs share")
    return NO_PAIRS


def pair_lists(folder: Path) -> list[Path]:
    """The lists of pairs that lie in a folder."""
    return sorted(path for path in folder.glob("*") if _LIST.fullmatch(path.name))


def _read_list(path: Path) -> np.ndarray:
    remedy = "a list of [question_id, question_id] is expected, or move the file away"
    listed = read_as(path, list[tuple[Id, Id]], remedy)
    return np.unique(np.sort(np.array(listed, dtype=np.int64).reshape(-1, 2)), axis=0)


def _rare(tables: Tables) -> pd.DataFrame:
    """Every two askings of a text that two to four photographs are asked: question_id, answer,
    the same with "_other", and how many photographs.

    Texts are equal but for case and the white space around them. That within counts: in the photographs
    of one split of VQA v2 "what color  is the table?" is no half of a pair in another.
    """
    columns = ["question_id", "image_id", "question", "answer"]
    asked = pd.concat([table.reindex(columns=columns) for table in tables.values()])
    asked["question"] = asked["question"].str.lower().str.strip()
    asked = asked.drop_duplicates(["question", "image_id"])
    asked["photographs"] = asked.groupby("question")["image_id"].transform("size")
    rare = asked[asked["photographs"].between(2, MOST_PHOTOGRAPHS)]
    both = rare.merge(rare, on=["question", "photographs"], suffixes=("", "_other"))
    return both[both["image_id"] < both["image_id_other"]]


def _says_v2(folder: Path) -> bool:
    """Whether the names or the header of the questions files say VQA v2."""
    for path in question_files(folder):
        if path.name.startswith("v2_"):
            return True
        with suppress(InputError):  # it has no header, or is refused where it is read
            if read_as(path, _Header, "").info.version == "2.0":
                return True
    return False


def _are_opposite(rare: pd.DataFrame) -> bool:
    """Whether yes/no questions of two photographs have opposite answers far above chance."""
    both = rare[["answer", "answer_other"]].isin(["yes", "no"]).all(axis=1)
    asked = rare[both & (rare["photographs"] == 2)]
    opposite = (asked["answer"] != asked["answer_other"]).sum()
    return bool(opposite - len(asked) / 2 > FAR_ABOVE_CHANCE * np.sqrt(len(asked)) / 2)
