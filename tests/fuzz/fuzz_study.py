"""Invariant: whatever is done to a study, reading gives only entries that were written, each once, in order.

Whole or cut into single bytes makes no difference; what verifies is untouched; only FormatError or AuthError is raised.
`python -m tests.fuzz.fuzz_study`: by atheris where it is installed ([CORPUS]), else seeded mutations ([ROUNDS] [SEED]).
"""

from tests.fuzz.driver import drive
from wire import kinds
from wire.entry import Entry
from wire.errors import AuthError, FormatError
from wire.record import Note
from wire.seal import key_id, seal_pair, sign_pair
from wire.study import Study, StudyWriter, open_study, verify_signature
from wire.tag import Tag

SEAL_SECRET, SEAL_PUBLIC = seal_pair(bytes(range(32)))
SIGN_SECRET, SIGN_PUBLIC = sign_pair(bytes(range(32)))
KITS = {key_id(SIGN_PUBLIC): SIGN_PUBLIC}
STUDY_ID = bytes(range(16))


def _study() -> tuple[bytes, tuple[Entry, ...]]:
    writer = StudyWriter(STUDY_ID, 1_700_000_000_000, SEAL_PUBLIC)
    raw, written = writer.start(), []
    for number in range(6):
        tags = (Tag(kinds.CAPTURE, kinds.RAW, bytes(range(number * 9))), Note(f"entry {number}").to_tag())
        written.append(Entry(number, tags))
        raw += writer.entry(tags, lambda size, number=number: bytes((number + 1,)) * size)
    return raw + writer.end(1) + writer.signature(SIGN_SECRET), tuple(written)


RAW, WRITTEN = _study()


def _read(chunks: list[bytes], study_id: bytes | None) -> Study | None:
    try:
        return open_study(chunks, SEAL_SECRET, KITS, study_id)
    except (FormatError, AuthError):
        return None


def check(data: bytes) -> None:
    """Hold the invariant for one input, with and without the study's id known."""
    for study_id in (None, STUDY_ID):
        study = _read([data], study_id)
        singly = _read([data[at : at + 1] for at in range(len(data))], study_id)
        assert study == singly, "whole and byte by byte differ"
        if study is None:
            continue
        assert set(study.entries) <= set(WRITTEN), "an entry that was not written"
        assert list(study.entries) == sorted(set(study.entries), key=lambda one: one.ordinal), (
            "repeated or out of order"
        )
        assert study.damaged or study.entries == WRITTEN, "an entry is missing, and nothing is said"
        assert not study.signature_ok or data == RAW, "signed, and not what was signed"
    assert verify_signature([data], SIGN_PUBLIC) == (data == RAW)


if __name__ == "__main__":
    drive(check, [RAW])
