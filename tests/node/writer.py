"""A real process that writes studies and says on stdout what is committed, for tests that kill it or fail its disk.

python -m tests.node.writer host DIR      for each line on stdin, forks a child that writes until it is killed
python -m tests.node.writer once DIR      runs the script of `stores` once; exit code 74 when the disk failed

Lines: `pid N`, `try STUDY PAYLOAD`, `ack STUDY PAYLOAD`, `closed STUDY`, `dead`; ids and payloads in hex.
"""

import os
import sys

from node.disk import RealDisk
from tests.node.stores import Kit, Ledger, payload_of, raw_tag, script, summary_of
from wire.errors import DiskError
from wire.objects import ID_SIZE

ENTRIES = 4


def say(*words):
    os.write(1, (" ".join(word.hex() if isinstance(word, bytes) else str(word) for word in words) + "\n").encode())


def write_until_killed(folder, life):
    with RealDisk(folder) as disk:
        kit = Kit(disk, life)
        for study in range(10_000):
            journal = kit.studies.open()
            for entry in range(ENTRIES):
                payload = b"life %d " % life + payload_of(study, entry, 200 * entry)
                say("try", journal.study_id, payload)
                journal.append([raw_tag(payload)])
                say("ack", journal.study_id, payload)
            journal.close(summary_of(journal, ENTRIES))
            say("closed", journal.study_id)


def host(folder):
    for life, _ in enumerate(sys.stdin):
        pid = os.fork()
        if not pid:
            try:
                write_until_killed(folder, life)
            finally:
                os._exit(1)
        say("pid", pid)
        os.waitpid(pid, 0)
        say("dead")


class TalkingLedger(Ledger):
    """Says what is acknowledged as soon as it is."""

    said: int = 0

    def tell(self):
        for payload, study_id in list(self.acked.items())[self.said :]:
            say("ack", study_id, payload)
            self.said += 1


def once(folder):
    ledger = TalkingLedger()
    try:
        with RealDisk(folder) as disk:
            script(disk, ledger)
    except DiskError as error:
        sys.stderr.write(f"{error}\n")
        return DiskError.exit_code
    return 0


def ledger_from(lines):
    """Return what the lines of a writer tell. A last line that was cut short counts for nothing."""
    ledger = Ledger()
    for line in lines:
        match line.split():
            case ["try", study, payload]:
                ledger.tried[bytes.fromhex(payload)] = bytes.fromhex(study)
            case ["ack", study, payload]:
                ledger.acked[bytes.fromhex(payload)] = bytes.fromhex(study)
            case ["closed", study] if len(study) == 2 * ID_SIZE:
                ledger.closed.add(bytes.fromhex(study))
    return ledger


if __name__ == "__main__":
    sys.exit({"host": host, "once": once}[sys.argv[1]](sys.argv[2]))
