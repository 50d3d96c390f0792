"""First look first: what is seen at a glance goes out before what takes long, within a study and across studies."""

from hypothesis import given
from hypothesis import strategies as st

from node.sealer import preview_priority, summary_priority
from node.sending import MOVING_MAX, OFFERED_MAX, Sender, SendingCounts
from node.spool import Spool, parse_name
from tests.node.stores import Kit, check_previews, previews_of, raw_tag, read_all, summary_of
from tests.sim.disk import SimDisk
from tests.wire.air import SEGMENT_HEAD
from wire.objects import FILE, KINDS, PREVIEW, STUDY, SUMMARY, Have, Offer, urgency
from wire.ranges import RangeSet


class Outbox:
    """Offers as they are given; the bytes do not matter."""

    def __init__(self, *offers):
        self.offers = list(offers)

    def pending(self):
        return self.offers

    def read(self, object_id, offset, size):
        return bytes(size)


def offer(number, kind, priority, size=300):
    return Offer(number.to_bytes(16, "big"), kind, size, bytes(16), priority)


def closed_study(kit, priority=5, pictures=1):
    journal = kit.studies.open(priority=priority)
    journal.append([raw_tag(bytes(30_000))])
    journal.close(summary_of(journal, 1), previews=previews_of(journal, pictures))
    return journal.study_id


def order_of(kit):
    return [(KINDS[one.kind], one.priority) for one in kit.spool.pending()]


def test_a_study_goes_out_summary_first_then_coarse_previews_then_fine_ones_then_the_whole():
    kit = Kit(SimDisk())
    closed_study(kit, pictures=2)
    assert order_of(kit) == [
        ("summary", 2),
        ("preview", 3),
        ("preview", 3),
        ("preview", 4),
        ("preview", 4),
        ("study", 5),
    ]


def test_the_summary_of_the_latest_study_goes_before_the_previews_and_bulk_of_the_earlier_ones():
    kit = Kit(SimDisk())
    first, second = closed_study(kit), closed_study(kit)
    pending = kit.spool.pending()
    assert [KINDS[one.kind] for one in pending] == ["summary"] * 2 + ["preview"] * 4 + ["study"] * 2
    assert [one.object_id for one in pending[-2:]] == [first, second]


def test_it_is_so_for_urgent_studies_too_whose_summaries_can_be_no_more_urgent():
    for priority in (1, 2, 3):
        kit = Kit(SimDisk())
        closed_study(kit, priority)
        closed_study(kit, priority)
        kinds = [KINDS[one.kind] for one in kit.spool.pending()]
        assert kinds == ["summary"] * 2 + ["preview"] * 4 + ["study"] * 2


def test_the_order_is_the_same_after_a_restart():
    kit = Kit(SimDisk())
    for priority in (5, 1, 5, 9):
        closed_study(kit, priority)
    before = kit.spool.pending()
    assert Spool(kit.disk.crash()).pending() == before


def test_previews_can_be_read_and_say_what_they_are_of():
    kit = Kit(SimDisk())
    study_id = closed_study(kit, pictures=3)
    assert len(list(read_all(kit.spool, PREVIEW))) == 6
    check_previews(kit, {study_id: None}, set())


def test_a_full_spool_costs_previews_and_not_the_study():
    kit = Kit(SimDisk())
    kit.spool._objects_max = 3
    closed_study(kit)
    assert [KINDS[one.kind] for one in kit.spool.pending()] == ["summary", "preview", "study"]


@given(st.integers(1, 9), st.integers(1, 9))
def test_whatever_the_priority_a_study_is_never_before_its_own_first_look(priority, stage):
    summary = urgency(summary_priority(priority), SUMMARY)
    preview = urgency(preview_priority(priority, stage), PREVIEW)
    assert summary < preview < urgency(priority, STUDY)
    assert preview <= urgency(preview_priority(priority, stage + 1), PREVIEW)


def test_a_summary_interrupts_the_bulk_that_is_being_sent():
    outbox = Outbox(offer(1, STUDY, 1, 100_000))
    sender = Sender(outbox, SendingCounts())
    sender.refresh(0.0)
    sender.heard(0, Have(RangeSet()), 0.0)
    assert sender.fitting_segment(SEGMENT_HEAD + 1000).channel == 0
    outbox.offers.append(offer(2, SUMMARY, 1))
    (new,) = sender.refresh(1.0)
    assert sender.fitting_segment(SEGMENT_HEAD + 1000).channel == new.channel


def test_a_van_full_of_bulk_does_not_keep_out_what_is_more_urgent():
    """Before: 64 large studies took all places, and a summary waited until the first of them had arrived."""
    bulk = [offer(n, STUDY, 5, 1 << 20) for n in range(3 * OFFERED_MAX)]
    outbox = Outbox(*bulk)
    sender = Sender(outbox, SendingCounts())
    assert len(sender.refresh(0.0)) == OFFERED_MAX
    outbox.offers += [offer(1000, SUMMARY, 2), offer(1001, PREVIEW, 3), offer(1002, STUDY, 5)]
    assert [one.offer.kind for one in sender.refresh(1.0)] == [SUMMARY, PREVIEW]


def test_what_is_under_way_at_a_time_stays_bounded():
    outbox = Outbox(*(offer(n, STUDY, 5, 1 << 20) for n in range(OFFERED_MAX)))
    sender = Sender(outbox, SendingCounts())
    sender.refresh(0.0)
    outbox.offers += [offer(1000 + n, SUMMARY, 2) for n in range(2 * OFFERED_MAX)]
    assert len(sender.refresh(1.0)) == MOVING_MAX - OFFERED_MAX
    outbox.offers.append(offer(5000, SUMMARY, 1))
    assert sender.refresh(2.0) == []


@given(st.lists(st.tuples(st.sampled_from([SUMMARY, PREVIEW, STUDY, FILE]), st.integers(1, 9)), max_size=200))
def test_segments_go_out_in_the_order_of_urgency_and_within_it_of_age(objects):
    offers = [offer(n, kind, priority) for n, (kind, priority) in enumerate(objects)]
    sender = Sender(Outbox(*offers), SendingCounts())
    sender.refresh(0.0)
    sent = []
    while (segment := sender.fitting_segment(SEGMENT_HEAD + 1000)) is not None:
        sent.append(sender.sendings[segment.channel].offer)
    assert sent == sorted(offers, key=lambda one: one.urgency)[:OFFERED_MAX]


def test_a_preview_has_a_name_of_its_own_in_the_spool():
    kit = Kit(SimDisk())
    closed_study(kit)
    names = [name for name in kit.disk.list("spool") if name.endswith(".preview")]
    assert [parse_name(name).kind for name in names] == [PREVIEW] * 2
