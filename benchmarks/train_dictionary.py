"""Trains the zstd dictionary of codec 2 and writes `wire/dictionary.py`: `python -m benchmarks.train_dictionary`.

The same library makes the same dictionary: samples come from a seed (`benchmarks/records.py`), none from real people or
from the files that the figures are measured on. A dictionary that has been released is never trained again under its
number, since what was packed with it needs it for ever: give the new one the next number, and keep the old.

SIZE and SEGMENT are what measured best on records of another seed (docs/decisions/0021).
"""

from base64 import b85encode
from pathlib import Path
from textwrap import wrap

import zstandard

from benchmarks.records import container, entries

NUMBER = 1
SIZE = 32 * 1024
SEGMENT = 1024
SEED = 1
COUNT = 2000

_HEAD = '''"""The zstd dictionaries of codec 2, by number, as text because `wire` opens no file.

Made by `benchmarks/train_dictionary.py`; never edited by hand. A number is for ever: what was packed with a dictionary
is unpacked with the same one, so a better one gets the next number, and PACKING names the one that is packed with.
"""

from base64 import b85decode
from functools import cache
from typing import Final

PACKING: Final = {number}
"""The dictionary that new data are packed with."""


@cache
def dictionary(number: int) -> bytes:
    """Return the dictionary with this number. Raises KeyError when there is none."""
    return b85decode("".join(_TEXTS[number].split()))


_TEXTS: Final = {{
    {number}: """
'''


def train() -> bytes:
    """Return the trained dictionary."""
    samples = [container(tags) for tags in entries(SEED, COUNT)]
    return zstandard.train_dictionary(SIZE, samples, k=SEGMENT, d=8, level=19, dict_id=NUMBER).as_bytes()


def module_text(content: bytes) -> str:
    """Return the source of `wire/dictionary.py`."""
    lines = "\n".join(wrap(b85encode(content).decode(), 118, break_on_hyphens=False))
    text = _HEAD.format(number=NUMBER) + lines + '\n""",\n}\n\nNUMBERS: Final = frozenset(_TEXTS)\n'
    return text.replace('""",\n}\n\nNUMBERS', '"""\n}\n\nNUMBERS')


def main() -> None:
    """Write the module beside this checkout's `wire`."""
    target = Path(__file__).parents[1] / "wire" / "dictionary.py"
    target.write_text(module_text(train()))
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
