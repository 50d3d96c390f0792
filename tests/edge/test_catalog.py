"""The catalog: a change is one append, a power cut leaves it whole, and the directories can always rebuild it."""

import pytest
from tinydb import TinyDB, where

from edge.catalog import DEAD_BYTES_MAX, PATH, STUDIES_MAX, Catalog, LogStorage
from node.entropy import seeded
from node.sealer import summary_priority
from tests.node.stores import FixedClock, Kit, raw_tag, summary_of
from tests.sim.disk import Crash, SimDisk
from wire.errors import UsageError
from wire.objects import STUDY


def database(disk, life=0):
    return TinyDB(disk, PATH, FixedClock(), seeded(b"%d" % life), storage=LogStorage)


def test_tinydb_finds_again_what_it_stored():
    disk = SimDisk()
    db = database(disk)
    db.insert_multiple({"n": number, "text": "é", "raw": b"\0\xff", "none": None} for number in range(20))
    db.update({"n": 100}, where("n") == 7)
    db.remove(where("n") < 5)
    db.table("other").insert({"x": 1.5})
    again = database(disk, 1)
    assert again.all() == db.all()
    assert len(again) == 15
    assert again.table("other").all() == [{"x": 1.5}]
    again.drop_tables()
    assert database(disk, 2).tables() == set()


def test_an_update_is_one_append_and_one_fsync_however_many_documents_there_are():
    disk = SimDisk()
    db = database(disk)
    db.insert_multiple({"n": number} for number in range(2000))
    before = disk.size(PATH)
    del disk.log[:]
    db.update({"n": -1}, doc_ids=[1000])
    assert [line.split()[0] for line in disk.log] == ["append", "sync"]
    assert disk.size(PATH) - before < 1000


def test_a_document_that_is_changed_after_it_was_read_changes_nothing():
    db = database(SimDisk())
    db.insert({"n": 1})
    db.all()[0]["n"] = 2
    assert db.all() == [{"n": 1}]


def test_a_document_with_an_inside_is_refused():
    with pytest.raises(UsageError, match="not flat"):
        database(SimDisk()).insert({"list": [1, 2]})


def test_records_that_no_longer_count_go_when_there_are_many():
    disk = SimDisk()
    db = database(disk)
    text = "x" * 100_000
    sizes = []
    for number in range(30):
        db.upsert({"n": 0, "text": text + str(number)}, where("n") == 0)
        sizes.append(disk.size(PATH))
    assert max(sizes) < DEAD_BYTES_MAX + 400_000
    assert database(disk, 1).all()[0]["text"].endswith("29")


def fill(disk, acked):
    db = database(disk)
    for number in range(6):
        db.insert({"n": number})
        acked[number] = 0
        db.update({"times": 1}, where("n") == number)
        acked[number] = 1


@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_at_every_call(seed):
    disk = SimDisk()
    fill(disk, {})
    for at in range(1, disk.calls + 1):
        cut, acked = SimDisk(seed * 1000 + at), {}
        cut.fail("crash", at)
        with pytest.raises(Crash):
            fill(cut, acked)
        found = {doc["n"]: doc.get("times", 0) for doc in database(cut.crash(), 1)}
        assert all(found.get(number, -1) >= times for number, times in acked.items())
        assert len(found) <= len(acked) + 1


def worked(disk):
    kit = Kit(disk)
    for _ in range(3):
        journal = kit.studies.open()
        journal.append([raw_tag(b"x")])
        journal.close(summary_of(journal, 1))
    kit.studies.open()
    first = next(one for one in kit.spool.objects() if one.kind == STUDY)
    kit.spool.receipt(first.object_id, b"r")
    return kit


def catalog(disk, life=0):
    return Catalog(disk, FixedClock(), seeded(b"%d" % life))


def test_it_knows_where_each_study_is():
    disk = SimDisk()
    kit = worked(disk)
    listed = catalog(disk)
    assert listed.refresh(kit.spool, kit.studies.journals) == 4
    assert listed.refresh(kit.spool, kit.studies.journals) == 0
    assert [doc["state"] for doc in listed.studies()].count("spool") == 2
    (received,) = listed.studies("received")
    (under_way,) = listed.studies("open")
    assert under_way["study"] in disk.list("open")[0]
    assert received["size"] == kit.spool.get(bytes.fromhex(received["study"])).size
    assert summary_priority(received["priority"]) == 2


def test_numbers_stay_when_states_change_and_across_a_restart():
    disk = SimDisk()
    kit = worked(disk)
    listed = catalog(disk)
    listed.refresh(kit.spool, kit.studies.journals)
    before = {doc["study"]: doc.doc_id for doc in listed.studies()}
    for one in kit.spool.objects():
        kit.spool.receipt(one.object_id, b"r")
    again = catalog(disk.crash(), 1)
    again.refresh(kit.spool, kit.studies.journals)
    assert {doc["study"]: doc.doc_id for doc in again.studies()} == before


def test_what_was_pruned_stays_listed_as_pruned():
    disk = SimDisk()
    kit = worked(disk)
    listed = catalog(disk)
    listed.refresh(kit.spool, kit.studies.journals)
    (received,) = listed.studies("received")
    kit.spool.forget(bytes.fromhex(received["study"]))
    assert listed.refresh(kit.spool, kit.studies.journals) == 1
    assert [doc["study"] for doc in listed.studies("pruned")] == [received["study"]]


def test_a_lost_catalog_is_rebuilt_from_the_directories():
    disk = SimDisk()
    kit = worked(disk)
    catalog(disk).refresh(kit.spool, kit.studies.journals)
    disk.remove(PATH)
    again = catalog(disk, 1)
    assert again.refresh(kit.spool, kit.studies.journals) == 4
    assert len(again.studies("received")) == 1


def test_the_oldest_that_are_gone_leave_at_the_limit(monkeypatch):
    assert STUDIES_MAX == 20_000
    monkeypatch.setattr("edge.catalog.STUDIES_MAX", 3)
    disk = SimDisk()
    kit = worked(disk)
    listed = catalog(disk)
    listed.refresh(kit.spool, kit.studies.journals)
    assert len(listed.studies()) == 4
    kit.spool.forget(bytes.fromhex(listed.studies("received")[0]["study"]))
    listed.refresh(kit.spool, kit.studies.journals)
    assert len(listed.studies()) == 3
