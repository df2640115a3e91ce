"""The similarity of two nouns in WordNet (Miller, 1995) by Wu and Palmer (1994).

Reads the database where Debian's `wordnet-base` or NLTK's data lie. NLTK's own reader takes seconds to
load, asks for files that Debian leaves out, and refuses folders other than NLTK's.
"""

import logging
import os
import re
import zipfile
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)

VARIABLE = "WNSEARCHDIR"  # WordNet's own
REMEDY = (
    "`apt-get install wordnet-base`, `python -m nltk.downloader wordnet`, or name the folder of its "
    f"database in {VARIABLE}"
)
DEBIAN = Path("/usr/share/wordnet")
NLTK = (Path.home() / "nltk_data", Path("/usr/share/nltk_data"), Path("/usr/local/share/nltk_data"))
# A noun's ending and what takes its place.
SINGULAR = {"s": "", "ses": "s", "ves": "f", "xes": "x", "zes": "z", "ches": "ch", "shes": "sh",
            "men": "man", "ies": "y"}  # fmt: skip
_PARENT = re.compile(r" @i? (\d{8}) n")  # a kind of, an instance of


@cache
def find_wordnet() -> "WordNet | None":
    """The WordNet of this machine, looked for once a process; None, with a line in the log, where
    there is none that can be read."""
    named = os.environ.get(VARIABLE)
    nltk = [*map(Path, filter(None, os.environ.get("NLTK_DATA", "").split(os.pathsep))), *NLTK]
    corpora = [place / "corpora" / name for place in nltk for name in ("wordnet", "wordnet.zip")]
    folders = [Path(named)] if named else [DEBIAN, *corpora]
    found = next(filter(Path.exists, folders), folders[0])
    try:
        return WordNet(zipfile.Path(found, "wordnet/") if found.suffix == ".zip" else found)
    except (OSError, LookupError, ValueError, zipfile.BadZipFile) as error:
        log.warning("WUPS is left out: no WordNet in %s (%s); %s", found, error, REMEDY)
    return None


class WordNet:
    """The nouns of a WordNet database.

    Args:
        folder: holds `index.noun`, `data.noun` and `noun.exc`; may lie within a zip file.

    Raises:
        OSError, LookupError, ValueError: when they cannot be read, or do not belong together.
    """

    def __init__(self, folder: Path | zipfile.Path) -> None:
        index, self._data, exceptions = (
            (folder / name).read_bytes().decode("latin-1")  # a byte a character: offsets hold
            for name in ("index.noun", "data.noun", "noun.exc")
        )
        lines = (line for line in index.split("\n") if line[:1] > " ")  # the licence is indented
        self._index = dict(line.split(" ", 1) for line in lines)
        self._exceptions = {word: forms for word, *forms in map(str.split, exceptions.splitlines())}
        self._ways, self._above = cache(self._find_ways), cache(self._find_above)
        # Files of two versions, or with other ends of lines, are no longer in step at their end.
        last = [sense for lemma in list(self._index)[-100:] for sense in self._senses(lemma)]
        if not last or not all(self._data.startswith(sense, int(sense)) for sense in last):
            raise ValueError("index.noun and data.noun do not belong together")

    def senses(self, word: str) -> list[str]:
        """The senses of a noun, also in the plural; [] for a word that WordNet does not know."""
        word = "_".join(word.lower().split())
        endings = (end for end in SINGULAR if word.endswith(end))
        singular = (word.removesuffix(end) + SINGULAR[end] for end in endings)
        forms = {word, *self._exceptions.get(word, singular)}
        return [sense for form in sorted(forms) for sense in self._senses(form)]

    def similarity(self, first: str, second: str) -> float:
        """Of two nouns, 0 to 1: that of those of their senses that are nearest to each other.

        The similarity of two senses is 2 d / (d1 + d2), where d is the depth of the lowest sense
        above both, by its longest way to the root, and d1 and d2 are theirs by way of it. Lowest is
        what has the longest shortest way to the root, as in NLTK; of several the best counts. A
        word that WordNet does not know is like none, 0.
        """
        pairs = ((a, b) for a in self.senses(first) for b in self.senses(second))
        return max((self._of_senses(*pair) for pair in pairs), default=0.0)

    def _senses(self, lemma: str) -> list[str]:
        _, count, *rest = self._index.get(lemma, "n 0").split()
        return rest[-int(count) :] if rest else []

    def _of_senses(self, first: str, second: str) -> float:
        one, other = self._above(first), self._above(second)
        depths = {s: [len(way) for way in self._ways(s)] for s in one.keys() & other.keys()}
        lowest, best = max(map(min, depths.values()), default=0), 0.0
        for sense, depth in depths.items():
            if min(depth) == lowest:
                above = self._above(sense).items()
                steps = (min(up[s] + n for s, n in above) for up in (one, other))
                best = max(best, 2 * max(depth) / (2 * max(depth) + sum(steps)))
        return best

    def _find_ways(self, sense: str) -> list[list[str]]:
        """Every way from a sense up to a root, both ends included."""
        start = int(sense)
        parents = _PARENT.findall(self._data[start : self._data.index(" | ", start)])
        ways = [way for parent in parents for way in self._ways(parent)]
        return [[sense, *way] for way in ways or [[]]]

    def _find_above(self, sense: str) -> dict[str, int]:
        """The senses above one, itself included, and the fewest steps to each."""
        steps: dict[str, int] = {}
        for way in self._ways(sense):
            for count, above in enumerate(way):
                steps[above] = min(count, steps.get(above, count))
        return steps
