"""The part `[[inbox]]` of a kit's configuration: a folder, or the place of a stick, in which files appear.

```toml [[inbox]] name = "stick"                    # how log, status and studies call it path = "/media/usb"
# a folder, or where a stick is mounted; need not be there form = "document"                 # kind of study of a
file that does not say it priority = 5                      # 1 (first) to 9 patient = "file"                  #
"file": whom the file names; "label": before that, the label in force when it came after = "leave"
# "move": what was taken goes into the folder taken/ there settle_s = 5                      # nothing of a file may
have changed for so long kinds = ["dicom", "ecg", "spectrum", "pdf", "picture", "csv"]   # these if left out;
"other": everything else, too ```
"""

from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from edge.file_contents import KINDS
from wire.errors import ConfigError
from wire.record import FORMS

INBOXES_MAX: Final = 4


class Inbox(Struct, forbid_unknown_fields=True, frozen=True):
    """One place in which files appear."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,32}$")]
    path: str
    form: str = "document"
    priority: Annotated[int, Meta(ge=1, le=9)] = 5
    patient: Literal["file", "label"] = "file"
    after: Literal["leave", "move"] = "leave"
    settle_s: Annotated[float, Meta(ge=1, le=3600)] = 5.0
    kinds: list[str] = []


def check_inboxes(inboxes: list[Inbox], name: str) -> None:
    """Check what types cannot say. Raises ConfigError that names file, key and reason."""
    if len(inboxes) > INBOXES_MAX:
        raise ConfigError(f"{name}: inbox: {len(inboxes)} inboxes; at most {INBOXES_MAX}")
    for at, inbox in enumerate(inboxes):
        for key, reason in _faults_of(inbox, inboxes[:at]):
            raise ConfigError(f"{name}: inbox[{at}].{key}: {reason}")


def _faults_of(inbox: Inbox, before: list[Inbox]) -> list[tuple[str, str]]:
    path = PurePosixPath(inbox.path)
    near = next((other for other in before if _are_within(path, PurePosixPath(other.path))), None)
    unknown = [kind for kind in inbox.kinds if kind not in KINDS]
    faults = [
        ("name", f"{inbox.name!r} is used twice", any(inbox.name == other.name for other in before)),
        ("path", f"{inbox.path!r}: want a whole path from / on", not path.is_absolute() or len(path.parts) < 2),
        ("path", f"{inbox.path!r} lies within that of {near.name if near else ''!r}, or around it", near is not None),
        ("form", f"{inbox.form!r}; it may be {', '.join(FORMS)}", inbox.form not in FORMS),
        ("kinds", f"{', '.join(unknown)}; they may be {', '.join(KINDS)}", bool(unknown)),
    ]
    return [(key, reason) for key, reason, is_wrong in faults if is_wrong]


def _are_within(one: PurePosixPath, other: PurePosixPath) -> bool:
    return one == other or one in other.parents or other in one.parents
