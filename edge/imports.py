"""The kit's side of `feldsher kit import`: takes up studies that another process has made, and says whose they are.

The command makes a study by itself (`edge.importing`), with a journal and a spool of its own below `import`. So no
picture lies on the card in the clear, nor anybody's name, and the kit needs no memory for pictures:

    import/spool/…             studies that are closed, signed and committed, as in the kit's own spool
    import/asked/<id>.ask      whose label is in force? 32 bytes: a public key that somebody made for this question
    import/asked/<id>.label    the answer, sealed to it

`take_up` moves what is ready into the kit's spool, each object by a rename: after a crash at any instant an object
lies in one of the two, and the next call finds what is left. A summary is taken with its study or not at all: one
without is what a killed command left. Of a study that is taken nothing is said twice, for its id is the same here
and there.
"""

import re
from collections.abc import Iterator
from typing import Final

from node.disk import Disk, join, make_durable_folder, put_file
from node.entropy import Entropy, new_id
from node.sealer import summary_id_of
from node.spool import Spool, SpoolObject, State, parse_name
from wire.errors import AuthError, FormatError, UsageError
from wire.maps import decode_map, encode_map
from wire.objects import STUDY, SUMMARY
from wire.record import Patient
from wire.seal import KEY_SIZE, SEAL_OVERHEAD, seal, seal_pair, unseal

FOLDER: Final = "import"
ASKED: Final = join(FOLDER, "asked")
INFO: Final = b"feldsher label 1"
ASKS_MAX: Final = 8
"""Questions answered at one look; the rest wait for the next."""
ANSWER_SIZE_MAX: Final = 4096
_ASK: Final = re.compile(r"([0-9a-f]{32})\.ask")


def ready(disk: Disk, folder: str = FOLDER) -> list[SpoolObject]:
    """Return what may be taken up now, in the order in which it was made."""
    waiting = join(folder, State.WAITING)
    found = [one for name in disk.list(waiting) if (one := parse_name(name)) is not None]
    awaited = {summary_id_of(one.object_id) for one in found if one.kind == STUDY}
    whole = [one for one in found if one.kind != SUMMARY or one.object_id in awaited]
    return sorted(whole, key=lambda one: one.number)


def take_up(disk: Disk, spool: Spool, folder: str = FOLDER) -> Iterator[SpoolObject]:
    """Move what is ready into the kit's spool, and yield it. Raises DiskFull: the rest stays where it is."""
    for one in ready(disk, folder):
        path = join(join(folder, State.WAITING), one.name)
        spool.adopt(path, one.object_id, one.kind, priority=one.priority, digest=one.digest)
        yield one


def asks(disk: Disk) -> list[bytes]:
    """Return the questions that wait for an answer."""
    names = disk.list(ASKED)
    found = [match[1] for name in names if (match := _ASK.fullmatch(name))]
    return [bytes.fromhex(one) for one in found if f"{one}.label" not in names][:ASKS_MAX]


def answer(disk: Disk, ask: bytes, label: Patient | None, entropy: Entropy) -> None:
    """Tell who asked whose label is in force."""
    said = {} if label is None else {"id": label.id, "checked": label.checked, "time_ms": label.time_ms}
    try:
        public = disk.read(_path(ask, "ask"), 0, KEY_SIZE)
        sealed = seal(encode_map(said), public, INFO, ask, entropy(KEY_SIZE))
    except UsageError:  # taken back meanwhile
        return
    except AuthError:  # no key: not from our command
        sealed = b""
    put_file(disk, _path(ask, "label"), sealed)


class Question:
    """Asks a kit that runs for the label that is in force. The key of the answer is in this process only."""

    def __init__(self, disk: Disk, entropy: Entropy) -> None:
        self._disk = disk
        self._id = new_id(entropy)
        self._secret, public = seal_pair(entropy(KEY_SIZE))
        make_durable_folder(disk, ASKED)
        put_file(disk, _path(self._id, "ask"), public)

    def is_answered(self) -> bool:
        """Tell whether `label` has something to say."""
        return self._disk.exists(_path(self._id, "label"))

    def label(self) -> Patient | None:
        """Return whose label is in force; None: nobody's. Raises AuthError or FormatError for what is no answer."""
        sealed = self._disk.read(_path(self._id, "label"), 0, ANSWER_SIZE_MAX + SEAL_OVERHEAD)
        said = decode_map(unseal(sealed, self._secret, INFO, self._id), "label")
        if not said:
            return None
        code, checked, time_ms = said.get("id"), said.get("checked"), said.get("time_ms")
        if not (isinstance(code, str) and isinstance(checked, bool) and isinstance(time_ms, int)):
            raise FormatError("label: want id (text), checked (true or false) and time_ms (integer)")
        return Patient(code, "barcode", checked, time_ms)

    def forget(self) -> None:
        """Remove question and answer."""
        for what in ("ask", "label"):
            if self._disk.exists(_path(self._id, what)):
                self._disk.remove(_path(self._id, what))


def _path(ask: bytes, what: str) -> str:
    return join(ASKED, f"{ask.hex()}.{what}")
