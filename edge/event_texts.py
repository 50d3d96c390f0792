"""The texts of a driver's events, made such that a record can hold them: what a device said may be anything.

A lone surrogate has no bytes, and a summary of huge texts has no place in its map: with either a study could never be
closed, nor any that waits behind it. So a character that cannot be written becomes `?`, and a text ends after
TEXT_SIZE_MAX characters. The raw bytes of the device stand in the study as they came. Pure; owns nothing; called by
`edge.capture` for each event.
"""

from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from edge.driver import Event

TEXT_SIZE_MAX: Final = 4_096
"""Characters. Headline, patient and model of one summary fit its map with it, in any script."""


def writable(event: Event) -> Event:
    """Return the event, the same one where nothing is to be changed."""
    if not is_dataclass(event):  # what no driver should say, and nobody heeds
        return event
    changed = {
        one.name: made for one in fields(event) if (made := _writable(value := getattr(event, one.name))) is not value
    }
    return replace(event, **changed) if changed else event


def _writable(value: Any) -> Any:  # noqa: ANN401  whatever a field holds
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, tuple):
        made = tuple(map(_writable, value))
        return value if all(one is other for one, other in zip(made, value, strict=True)) else made
    return value


def _text(text: str) -> str:
    if len(text) <= TEXT_SIZE_MAX and (text.isascii() or _has_bytes(text)):
        return text
    return text[:TEXT_SIZE_MAX].encode("utf-8", "replace").decode("utf-8")


def _has_bytes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
