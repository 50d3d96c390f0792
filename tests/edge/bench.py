"""The bench for one driver, which other packages use, too: `edge.bench`."""

from edge.bench import Bench, Seen

__all__ = ["Bench", "Seen"]
