"""Reads what devices write when they say what time their clock shows: only forms that cannot mean anything else.

Pure. None is "not said, or not certain": a date without hour and minute, a month 13, two figures for the year.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_STAMP: Final = re.compile(r"(\d{12}(?:\d\d)?)(?:\.\d{1,6})?(?:([+-])(\d\d)(\d\d))?")
"""TS of ASTM E1394 6.6.2 and HL7 2.A.77: YYYYMMDDHHMM[SS[.S...]][+ZZZZ]."""


def from_stamp(text: str) -> datetime | None:
    """Return the time that a stamp of ASTM or HL7 says; with a zone only when it names one."""
    match = _STAMP.fullmatch(text.strip())
    if match is None:
        return None
    digits, sign, hours, minutes = match.groups()
    try:
        read = datetime.strptime(digits.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        if sign is None:
            return read.replace(tzinfo=None)
        east = timedelta(hours=int(hours), minutes=int(minutes))
        return read.replace(tzinfo=timezone(east if sign == "+" else -east))
    except ValueError:
        return None


def from_iso(text: str) -> datetime | None:
    """Return the time that a text of ISO 8601 says, which has minutes at least; with a zone only when it names one."""
    try:
        return datetime.fromisoformat(text.strip()) if "T" in text else None
    except ValueError:
        return None


def from_form(text: str, form: str) -> datetime | None:
    """Return the local time that `text` says in a form of strptime."""
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC).replace(tzinfo=None)
    except ValueError:
        return None
