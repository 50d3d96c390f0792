"""Files as objects: names that attack, names that are taken, crashes while unpacking, the same bytes every time."""

import os
import random
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.disk import RealDisk
from node.filebox import BUNDLED_SIZE_MAX, STATE, FileInbox, FileOutbox
from tests.sim.disk import Crash, SimDisk
from wire import bundle, objects
from wire.bundle import FileMeta, check_name
from wire.errors import FormatError, UsageError
from wire.objects import Offer, Receipt, Refusal
from wire.ranges import RangeSet
from wire.tag import Tag, decode, parse_header

PEER = b"p" * 32


class Arrivals(list):
    def note(self, name, meta):
        self.append(name)


def inbox_on(disk) -> tuple[FileInbox, Arrivals]:
    arrivals = Arrivals()
    return FileInbox(disk, lambda path, mtime_ns: None, arrivals.note), arrivals


def hand_over(inbox: FileInbox, offer: Offer, data: bytes):
    have = inbox.offered(PEER, offer)
    if not isinstance(have, RangeSet):
        return have
    for start, end in have.gaps(offer.size):
        for at in range(start, end, 5000):
            refusal = inbox.write(PEER, offer.object_id, at, data[at : min(at + 5000, end)])
            if refusal:
                return refusal
    return inbox.finish(PEER, offer.object_id)


def object_of(files: dict[str, bytes], *, compress: bool = True, digest: bytes | None = None) -> tuple[Offer, bytes]:
    metas = [
        (FileMeta(name, len(data), 5, digest or blake2b(data, digest_size=32).digest()), [data])
        for name, data in files.items()
    ]
    data = b"".join(bundle.write(metas, compress=compress))
    whole = blake2b(data, digest_size=32).digest()
    return Offer(whole[16:], objects.FILE, len(data), whole[:16]), data


FILES = {"a.txt": b"alpha" * 100, "empty": b"", "big.bin": random.Random(1).randbytes(1 << 20), "ä ö.jpg": b"x"}


@pytest.mark.parametrize("compress", [True, False])
def test_files_arrive_byte_for_byte(compress):
    disk = SimDisk(1)
    inbox, arrivals = inbox_on(disk)
    offer, data = object_of(FILES, compress=compress)
    assert hand_over(inbox, offer, data) == Receipt(offer.digest)
    assert {name: disk.read(name) for name in FILES} == FILES
    assert arrivals == list(FILES)
    assert disk.list(f"{STATE}/new") == disk.list(f"{STATE}/whole") == disk.list(f"{STATE}/intake") == []


def test_what_is_offered_again_gets_its_receipt_again_and_nothing_is_written():
    disk = SimDisk(1)
    inbox, arrivals = inbox_on(disk)
    offer, data = object_of(FILES)
    hand_over(inbox, offer, data)
    assert inbox_on(disk)[0].offered(PEER, offer) == Receipt(offer.digest)
    assert len(arrivals) == len(FILES)


def test_a_file_that_was_taken_away_comes_anew():
    disk = SimDisk(1)
    inbox, _ = inbox_on(disk)
    offer, data = object_of({"a": b"1"})
    hand_over(inbox, offer, data)
    disk.remove("a")
    assert hand_over(inbox, offer, data) == Receipt(offer.digest)
    assert disk.read("a") == b"1"


def test_another_file_of_the_same_name_is_never_touched():
    disk = SimDisk(1)
    disk.append("a.txt", b"theirs")
    inbox, arrivals = inbox_on(disk)
    for content in (b"one", b"two", b"one"):
        hand_over(inbox, *object_of({"a.txt": content}, compress=False))
    assert disk.read("a.txt") == b"theirs"
    assert disk.read("a (2).txt") == b"one"
    assert disk.read("a (3).txt") == b"two"
    assert arrivals == ["a (2).txt", "a (3).txt"]


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/b", "..", ".", "", ".feldsher", ".feldsher-x", "a\0b", "a\nb", "x" * 256]
)
def test_a_hostile_name_is_refused_and_nothing_is_written(name):
    disk = SimDisk(1)
    inbox, _ = inbox_on(disk)
    answer = hand_over(inbox, *object_of({"good": b"1", name: b"evil"}))
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.BAD_NAME
    assert disk.list("") == [STATE]
    assert disk.list(f"{STATE}/whole") == []


@pytest.mark.parametrize("kind", ["digest", "no head", "not tags", "not a bundle", "cut"])
def test_an_object_that_makes_no_sense_is_refused(kind):
    _, data = object_of({"a": b"1"}, digest=bytes(32) if kind == "digest" else None)
    if kind == "no head":
        from wire import kinds
        from wire.tag import TAGS, encode

        data = encode(Tag(7, kinds.BUNDLE, encode(Tag(7, kinds.FILE_DATA, b"x")), state=TAGS))
    elif kind == "not tags":
        data = b"nonsense that is no tag at all"
    elif kind == "not a bundle":
        data = bytes.fromhex("000006a70901")
    elif kind == "cut":
        data = data[:-3]
    whole = blake2b(data, digest_size=32).digest()
    disk = SimDisk(1)
    inbox, _ = inbox_on(disk)
    answer = hand_over(inbox, Offer(whole[16:], objects.FILE, len(data), whole[:16]), data)
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.BROKEN
    assert disk.list("") == [STATE]


def test_only_files_are_taken():
    inbox, _ = inbox_on(SimDisk(1))
    answer = inbox.offered(PEER, Offer(bytes(16), objects.STUDY, 1, bytes(16)))
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.NOT_WANTED


def test_a_disk_that_is_full_while_unpacking_keeps_the_object_and_goes_on_later():
    content = random.Random(1).randbytes(3 << 20)
    disk = SimDisk(1, capacity=8 << 20)
    inbox, _ = inbox_on(disk)
    offer, data = object_of({"big.bin": content}, compress=False)
    disk.append("ballast", bytes(3 << 20))
    answer = hand_over(inbox, offer, data)
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.DISK_FULL
    disk.remove("ballast")
    assert inbox.offered(PEER, offer) == Receipt(offer.digest)
    assert disk.read("big.bin") == content


@pytest.mark.parametrize("seed", range(3))
def test_a_power_cut_at_every_call_leaves_whole_files_or_none(seed):
    files = {"a.txt": b"alpha" * 100, "b.bin": random.Random(seed).randbytes(9000)}
    offer, data = object_of(files)
    for call in range(1, 400):
        disk = SimDisk(1000 * seed + call)
        disk.append("a.txt", b"theirs")
        disk.sync("a.txt")
        disk.sync_folder("")
        disk.fail("crash", call)
        answer = None
        try:
            answer = hand_over(inbox_on(disk)[0], offer, data)
        except Crash:
            disk = disk.crash()
        was_over = answer is not None
        disk.fail_at = None
        assert hand_over(inbox_on(disk)[0], offer, data) == Receipt(offer.digest)
        assert disk.read("a.txt") == b"theirs"
        assert disk.read("a (2).txt") == files["a.txt"]
        assert disk.read("b.bin") == files["b.bin"]
        assert disk.list("") == sorted([STATE, "a.txt", "a (2).txt", "b.bin"])
        if was_over:
            return
    pytest.fail("the run never ended")


def test_the_outbox_makes_the_same_object_of_the_same_files(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"s" * 100)
    large.write_bytes(random.Random(1).randbytes(BUNDLED_SIZE_MAX + 1))
    boxes = [FileOutbox([small, large, small], compress=True, priority=3) for _ in range(2)]
    first, second = (list(box.pending()) for box in boxes)
    assert first == second
    assert len(first) == 2, "a large file has an object of its own"
    offer = first[0]
    whole = b"".join(boxes[0].read(offer.object_id, at, 1000) for at in range(0, offer.size, 1000))
    assert blake2b(whole, digest_size=32).digest()[:16] == offer.digest
    for box in boxes:
        box.close()


def test_a_receipt_for_something_else_is_no_receipt(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    box = FileOutbox([tmp_path / "a"], compress=True, priority=3)
    (offer,) = box.pending()
    box.receipt(offer.object_id, b"wrong")
    assert box.is_done
    assert isinstance(box.parcels[offer.object_id].verdict, Refusal)
    box.close()


def test_a_busy_peer_is_waited_for_and_a_full_disk_is_not(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    box = FileOutbox([tmp_path / "a"], compress=True, priority=3)
    (offer,) = box.pending()
    box.refused(offer.object_id, Refusal(objects.BUSY))
    assert not box.is_done
    box.refused(offer.object_id, Refusal(objects.DISK_FULL))
    assert box.is_done
    box.close()


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_what_cannot_be_sent_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=name):
        FileOutbox([tmp_path / name], compress=True, priority=5)


def test_the_time_of_the_last_change_travels(tmp_path):
    source, target = tmp_path / "from", tmp_path / "to"
    source.mkdir()
    target.mkdir()
    (source / "a").write_bytes(b"1")
    os.utime(source / "a", ns=(10**18, 10**18 + 123_456_789))
    box = FileOutbox([source / "a"], compress=True, priority=5)
    (offer,) = box.pending()
    with RealDisk(target) as disk:
        inbox = FileInbox(disk, lambda path, ns: os.utime(target / path, ns=(ns, ns)), lambda name, meta: None)
        assert hand_over(inbox, offer, box.read(offer.object_id, 0, offer.size)) == Receipt(offer.digest)
    assert (target / "a").stat().st_mtime_ns == 10**18 + 123_456_789
    box.close()


names = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=40).filter(
    lambda n: check_name(n) is None
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, st.binary(max_size=3000), min_size=1, max_size=8), st.booleans())
def test_bundles_are_read_back(files, compress):
    _, data = object_of(files, compress=compress)
    found, at = {}, 0
    while at < len(data):
        header = parse_header(data, at)
        for part in bundle.read(decode(data[at : at + header.total])):
            if isinstance(part, FileMeta):
                name = part.name
                found[name] = b""
            else:
                found[name] += part
        at += header.total
    assert found == files


@given(st.binary(max_size=300))
def test_any_bytes_in_a_bundle_are_a_format_error_or_nothing(data):
    from wire import kinds
    from wire.tag import TAGS

    try:
        list(bundle.read(Tag(7, kinds.BUNDLE, data, state=TAGS)))
    except FormatError:
        return


def test_a_disk_that_is_full_at_any_call_is_a_refusal_and_the_file_comes_later():
    """With no room for the rename, or for the note that the object is done, `link serve` ended."""
    (offer, data), refused = object_of(FILES), 0
    for call in range(1, 500):
        disk = SimDisk(1)
        inbox, _ = inbox_on(disk)
        have = inbox.offered(PEER, offer)
        for at in range(0, offer.size, 60_000):
            inbox.write(PEER, offer.object_id, at, data[at : at + 60_000])
        disk.fail("ENOSPC", call)
        answer = inbox.finish(PEER, offer.object_id)
        assert have == RangeSet()
        if disk.calls < disk.fail_at:
            break
        refused += isinstance(answer, Refusal) and answer.reason == objects.DISK_FULL
        assert isinstance(hand_over(inbox, offer, data), Receipt), call
        assert {name: disk.read(name) for name in FILES} == FILES
    assert refused >= 10


@pytest.mark.parametrize("note", [b"", b"not JSON", b"[]", b"\xff", b'{"digest": 1}'])
def test_a_note_of_what_is_done_that_the_disk_has_damaged_counts_as_none(note):
    disk = SimDisk(1)
    inbox, _ = inbox_on(disk)
    offer, data = object_of(FILES)
    assert isinstance(hand_over(inbox, offer, data), Receipt)
    path = f"{STATE}/done/{offer.object_id.hex()}"
    disk.remove(path)
    disk.append(path, note)
    assert isinstance(hand_over(inbox, offer, data), Receipt)
    assert {name for name in disk.list("") if not name.startswith(".")} == set(FILES)


def test_a_folder_put_in_the_place_of_a_file_that_had_arrived_does_not_end_the_server(tmp_path):
    with RealDisk(tmp_path) as disk:
        inbox, _ = inbox_on(disk)
        offer, data = object_of({"a.txt": b"alpha"})
        hand_over(inbox, offer, data)
        (tmp_path / "a.txt").unlink()
        (tmp_path / "a.txt").mkdir()
        assert isinstance(hand_over(inbox, offer, data), Receipt)
        assert (tmp_path / "a (2).txt").read_bytes() == b"alpha"


def test_a_link_to_nowhere_in_the_folder_is_not_written_through(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "elsewhere"
    inside.mkdir()
    (inside / "a.txt").symlink_to(outside)
    with RealDisk(inside) as disk:
        inbox, _ = inbox_on(disk)
        assert isinstance(hand_over(inbox, *object_of({"a.txt": b"alpha"})), Receipt)
    assert not outside.exists()
    assert b"alpha" in [path.read_bytes() for path in inside.iterdir() if path.is_file()]
