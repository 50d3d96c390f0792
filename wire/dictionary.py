"""The zstd dictionaries of codec 2, by number. Made by `benchmarks/train_dictionary.py`; never edited by hand."""

from typing import Final

DICTIONARIES: Final[dict[int, bytes]] = {}
