"""What there is to say of a stick, for people and for programs: what is on it, and whether it may be pulled out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wire import objects


@dataclass(frozen=True)
class CarryStatus:
    """What a crew wants to know of a stick. `to_dict` for JSON, `text` for people."""

    place: str
    is_there: bool = False
    is_busy: bool = False
    """Being read or written: it must not be pulled out. (If it is, nothing is lost.)"""
    carried: Mapping[int, int] = field(default_factory=dict)
    """Objects of which it holds something, by kind; those for whose receipt it only asks are in `asked`."""
    carried_bytes: int = 0
    asked: Mapping[int, int] = field(default_factory=dict)
    unsettled: int = 0
    """Objects that it brought and that have no receipt yet: it may wait for these, or take them on the next trip."""
    left: int = 0
    """Objects for which there was no room."""
    trouble: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "place": self.place,
            "present": self.is_there,
            "busy": self.is_busy,
            "safe_to_pull": self.is_there and not self.is_busy,
            "carried": _by_name(self.carried),
            "carried_bytes": self.carried_bytes,
            "asked": _by_name(self.asked),
            "unsettled": self.unsettled,
            "left": self.left,
            "trouble": self.trouble,
            "text": self.text(),
        }

    def text(self) -> str:
        """Return one line for people."""
        if not self.is_there:
            return f"no stick{': ' if self.trouble else ''}{self.trouble}"
        parts = [f"carried: {_counted(self.carried)}, {self.carried_bytes / 1e6:.1f} MB"] if self.carried else []
        parts += [f"receipts of {_counted(self.asked)} to come"] if self.asked else []
        parts += [f"{self.unsettled} that it brought without a receipt yet"] if self.unsettled else []
        parts += [f"{self.left} more do not fit"] if self.left else []
        parts += [self.trouble] if self.trouble else []
        return "; ".join([*(parts or ["nothing to carry"]), "busy, do not pull" if self.is_busy else "safe to pull"])


def _by_name(counts: Mapping[int, int]) -> dict[str, int]:
    return {objects.KINDS.get(kind, str(kind)): count for kind, count in counts.items()}


def _counted(carried: Mapping[int, int]) -> str:
    """Return "12 studies"; summaries travel with their studies and are counted only when they are alone."""
    if lists := carried.get(objects.WORKLIST):
        rest = {kind: count for kind, count in carried.items() if kind != objects.WORKLIST}
        return f"{lists} worklist{'' if lists == 1 else 's'}" + (f" and {_counted(rest)}" if rest else "")
    if carried.get(objects.STUDY):
        return f"{carried[objects.STUDY]} stud{'y' if carried[objects.STUDY] == 1 else 'ies'}"
    count = sum(carried.values())
    return f"{count} object{'' if count == 1 else 's'}"
