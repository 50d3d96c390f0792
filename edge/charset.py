"""In which character set is this text? Analysers do not say, and a wrong answer garbles a person's name.

The bytes themselves are always kept beside the text (RAW), checksums are made over bytes, and every reading here is
reversible, so a wrong guess destroys nothing: the server can read the bytes again. A clinic that knows its device sets
the driver's option `encoding` and nothing is guessed.

How it guesses: bytes under 0x80 only are ASCII. What is valid UTF-8 is UTF-8 (other sets hardly ever are, by accident).
For the rest each candidate reading is scored by its letters: words of one script and with plain capitals speak for it;
words mixed of Latin and Cyrillic, capitals within small letters, signs and box-drawing where letters should be speak
against it. KOI8 read as CP1251 has its capitals swapped, CP866 read as either is signs: this tells them apart. KOI8-U
is KOI8-R with the Ukrainian letters in place of some lines and corners. When nothing speaks for one of them it is
ISO 8859-1, the standard's own.

Analysers made in China write signs ("at least", an arrow, a micro) as two bytes of GB 18030 into text that is ASCII
otherwise. Where all that is not ASCII are such signs it is that.
"""

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

ENCODINGS: Final = ("latin-1", "cp1251", "koi8-r", "koi8-u", "cp866", "gb18030", "utf-8")
CANDIDATES: Final = ("latin-1", "cp1251", "koi8-u", "koi8-r", "cp866")
"""KOI8-U comes before KOI8-R: letters that both have read the same, and only the first has the Ukrainian ones."""
SAMPLE_SIZE_MAX: Final = 8_192
"""Bytes that are looked at."""

_SIGN: Final = re.compile(
    rb"\xa3[\xa5\xa8\xa9\xab\xad-\xaf\xba\xbc-\xbe]|\xa1[\xc0\xc1\xdc\xdd\xe3\xe6\xfa-\xfd]|\xa6\xcc"
)
"""In GB 18030: %()+-./:=<> in double width; plus-minus, times, at most, at least, degree, Celsius, arrows; mu."""
_ASCII: Final = bytes(range(0x80))
_COMMON: Final = frozenset("оеаинтсрвлкмдпуяьгзбчйхіїєОЕАИНТСРВЛКМДПУЯЬГЗБЧЙХІЇЄ")


def detect(data: bytes, candidates: Iterable[str] = CANDIDATES) -> str:
    """Return the name of the most likely encoding of `data`."""
    if data.isascii():
        return "ascii"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        if 2 * sum(1 for _ in _SIGN.finditer(data)) == len(data.translate(None, _ASCII)):
            return "gb18030"
        sample = b" ".join(word for word in data.split() if not word.isascii())[:SAMPLE_SIZE_MAX]
        return max(candidates, key=lambda name: _score(_lenient(sample, name)))
    return "utf-8"


def decode(data: bytes, encoding: str) -> tuple[str, str]:
    """Return `data` as text and the encoding used: the one asked for, or latin-1, which reads every byte."""
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def _lenient(data: bytes, encoding: str) -> str:
    return data.decode(encoding, errors="replace")


def _score(text: str) -> float:
    words = "".join(c if c.isalpha() or ord(c) > 0x7F else " " for c in text).split()
    return sum(map(_word_score, words)) / max(len(words), 1)


def _word_score(word: str) -> float:
    foreign = [c for c in word if ord(c) > 0x7F]
    score = float(sum(map(_letter_score, foreign)))
    is_cyrillic = {"\u0400" <= c <= "\u04ff" for c in word if c.isalpha()}
    if len(is_cyrillic) == 2:
        score -= 3 * len(foreign)
    if is_cyrillic == {False} and len(foreign) > 2 and len(foreign) == len(word):
        score -= len(foreign)
    score -= 2 * sum(1 for a, b in pairwise(word) if a.islower() and b.isupper())
    return score / max(len(foreign), 1)


def _letter_score(char: str) -> float:
    if char in _COMMON:
        return 1.0
    if char.isalpha():
        return 0.6
    return -0.2 if unicodedata.category(char) in {"So", "Sm"} and char in "°±µ²³" else -2.0
