"""The ports in `kit status`, in words for whoever stands before the kit with a cable in hand."""

from collections.abc import Mapping
from typing import Any

from feldsher.watching import span


def port_lines(present: Mapping[str, bool], known: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each port. `known`: what the kit's status says of each (`edge.port_watch`)."""
    return [
        f"  port {name}: {'present' if here else 'missing'}{_words(known.get(name))}" for name, here in present.items()
    ]


def _words(port: Mapping[str, Any] | None) -> str:
    if port is None:
        return ""
    said = [str(port["text"])]
    if port["silence_s"] is not None and port["state"] != "missing":
        said.append(f"heard {span(port['silence_s'])} ago")
    if port["line"] and port["state"] not in {"missing", "searching"}:
        said.append(f"at {port['line']}")
    if port["vanished"]:
        said.append(f"was gone {port['vanished']} times" if port["vanished"] > 1 else "was gone once")
    if port["lost_bytes"]:
        ago = span(port["lost_s"])
        said.append(f"{port['lost_bytes']} BYTES WERE LOST, the last {ago} ago: the kit was busy for too long")
    said += _errors(port.get("errors"))
    return f" ({'; '.join(said)})"


def _errors(errors: Mapping[str, Any] | None) -> list[str]:
    """Return what the line's counters say; nothing of a line that has none, or no errors."""
    if errors is None:
        return []
    said = []
    if lost := errors["overruns"] + errors["buffer_overruns"]:
        said.append(f"BYTES WERE LOST IN THIS COMPUTER: {lost}, the last {span(errors['lost_s'])} ago")
    if errors["framing"] or errors["parity"]:
        age = "" if errors["garbled_s"] is None else f", the last {span(errors['garbled_s'])} ago"
        means = f": {errors['means'].upper()}" if errors["means"] else ""
        said.append(f"{errors['framing']} framing and {errors['parity']} parity errors{age}{means}")
    return said
