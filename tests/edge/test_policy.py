"""Which way each object takes, and why: one table of situations, and what holds in all of them."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import policy
from edge.policy import DWELL_S, OPENING_S, STARVING_S, Bar, Barred, Kept, Rules, View, Wait, Want, decide, route, say
from edge.tariff import Tariff
from edge.terms import Terms
from wire.objects import COMMAND, FILE, PREVIEW, STUDY, SUMMARY, Offer

LAN = Terms("lan", 0, rank=1)
GSM = Terms("gsm", 1, tariff=Tariff(micros_per_mb=50_000), keep=False)
LTE = Terms("lte", 2, tariff=Tariff(micros_per_mb=50_000), keep=False)
SBD = Terms(
    "sbd", 3, carries="summaries", object_size_max=2048, delay_s=60, is_message=True, keep=False,
    tariff=Tariff(micros_per_message=120_000),
)  # fmt: skip
STICK = Terms("stick", 4, delay_s=86_400, is_carried=True)
RULES = Rules(urgent=2, patience_s=3600)
RESTING = Barred(Bar.RESTING, 30.0)
SPENT = Barred(Bar.BUDGET, 7200.0)
QUIET = Barred(Bar.QUIET, 600.0)
ABSENT = Barred(Bar.ABSENT)


def offer(number=1, kind=STUDY, size=20_000, priority=5, again=False):
    return Offer(number.to_bytes(16, "big"), kind, size, bytes(16), priority, again=again)


SUMMARY_2 = Want(offer(1, SUMMARY, 400, 2))
SUMMARY_4 = Want(offer(2, SUMMARY, 400, 4))
STUDY_5 = Want(offer(3))
PATIENT = Want(offer(4), waiting_s=3600)
ALARM_STUDY = Want(offer(5, STUDY, 1500, 1))
CUSTODY = Want(offer(6, again=True), waiting_s=4 * 3600 - 1, in_custody=True)


def views(**situation):
    """Return views of the named ways: "up", "closed", "opening" for long, or a bar."""
    terms = {one.name: one for one in (LAN, GSM, LTE, SBD, STICK)}
    made = []
    for name, how in situation.items():
        view = View(terms[name])
        if isinstance(how, Barred):
            view = replace(view, barred=how)
        elif how == "up":
            view = replace(view, is_up=True)
        elif how == "opening":
            view = replace(view, opening_s=1.0)
        elif how == "slow":
            view = replace(view, opening_s=OPENING_S)
        made.append(view)
    return made


@pytest.mark.parametrize(
    ("want", "situation", "wait", "way"),
    [
        (STUDY_5, {"lan": "up", "gsm": "up"}, Wait.NOW, "lan"),
        (STUDY_5, {"lan": "closed", "gsm": "up"}, Wait.OPENING, "lan"),
        (STUDY_5, {"lan": ABSENT, "gsm": "up"}, Wait.BARRED, "lan"),
        (PATIENT, {"lan": ABSENT, "gsm": "up"}, Wait.NOW, "gsm"),
        (PATIENT, {"lan": ABSENT, "gsm": "closed"}, Wait.OPENING, "gsm"),
        (PATIENT, {"lan": ABSENT, "gsm": SPENT}, Wait.BARRED, "lan"),
        (SUMMARY_2, {"lan": ABSENT, "gsm": "up"}, Wait.NOW, "gsm"),
        (SUMMARY_2, {"lan": "opening", "gsm": "up"}, Wait.OPENING, "lan"),
        (SUMMARY_2, {"lan": "slow", "gsm": "up"}, Wait.NOW, "gsm"),
        (SUMMARY_2, {"lan": "slow", "gsm": ABSENT}, Wait.OPENING, "lan"),
        (SUMMARY_2, {"gsm": RESTING, "sbd": "closed"}, Wait.OPENING, "sbd"),
        (SUMMARY_2, {"gsm": RESTING, "sbd": QUIET}, Wait.BARRED, "gsm"),
        (SUMMARY_4, {"gsm": RESTING, "sbd": "up"}, Wait.BARRED, "gsm"),
        (replace(SUMMARY_4, waiting_s=3600), {"gsm": RESTING, "sbd": "up"}, Wait.NOW, "sbd"),
        (ALARM_STUDY, {"gsm": QUIET, "sbd": "up"}, Wait.OPENING, "gsm"),
        (ALARM_STUDY, {"gsm": ABSENT, "sbd": QUIET}, Wait.OPENING, "sbd"),
        (STUDY_5, {"sbd": "up"}, Wait.NOWHERE, ""),
        (replace(PATIENT, waiting_s=10**9), {"gsm": ABSENT, "sbd": "up"}, Wait.BARRED, "gsm"),
        (PATIENT, {"gsm": RESTING, "lte": "closed"}, Wait.OPENING, "lte"),
        (STUDY_5, {"gsm": RESTING, "lte": "closed"}, Wait.OPENING, "lte"),
        (CUSTODY, {"lan": ABSENT, "gsm": "up"}, Wait.BARRED, "lan"),
        (replace(CUSTODY, waiting_s=4 * 3600), {"lan": ABSENT, "gsm": "up"}, Wait.NOW, "gsm"),
        (CUSTODY, {"gsm": "up"}, Wait.NOW, "gsm"),
        (CUSTODY, {"sbd": "up"}, Wait.NOWHERE, ""),
        (replace(PATIENT, carried_left_s=50), {"gsm": "up"}, Wait.BARRED, "gsm"),
        (replace(PATIENT, carried_left_s=50), {"lan": "up"}, Wait.NOW, "lan"),
        (replace(SUMMARY_2, carried_left_s=50), {"gsm": "up"}, Wait.NOW, "gsm"),
        (STUDY_5, {"stick": "up"}, Wait.NOWHERE, ""),
    ],
)
def test_a_situation(want, situation, wait, way):
    found = route(want, views(**situation), RULES)
    assert (found.wait, found.way) == (wait, way)


@pytest.mark.parametrize(
    ("terms", "given", "may"),
    [
        (GSM, offer(), True),
        (SBD, offer(kind=SUMMARY, size=2048), True),
        (SBD, offer(kind=SUMMARY, size=2049), False),
        (SBD, offer(kind=COMMAND, size=50), True),
        (SBD, offer(kind=STUDY, size=50), False),
        (SBD, offer(kind=FILE, size=50, priority=2), False),
        (SBD, offer(kind=STUDY, size=50, priority=1), True),
        (SBD, offer(kind=SUMMARY, size=50, again=True), False),
        (replace(GSM, carries="urgent"), offer(priority=2), True),
        (replace(GSM, carries="urgent"), offer(priority=3, kind=SUMMARY), False),
        (replace(GSM, priority=(2, 4)), offer(priority=1), False),
        (replace(GSM, priority=(2, 4)), offer(priority=5), False),
        (replace(GSM, priority=(2, 4)), offer(priority=4), True),
        (replace(GSM, object_size_max=20_000), offer(size=20_000), True),
    ],
)
def test_terms(terms, given, may):
    assert policy.may_carry(given, terms, RULES) is may


def test_a_want_that_does_not_fit_into_what_the_satellites_budget_has_left_is_not_begun():
    short = [View(SBD, is_up=True, room=399)]
    found = route(SUMMARY_2, short, RULES)
    assert found.wait is Wait.BARRED
    assert not policy.admits(SUMMARY_2, "sbd", short, RULES)
    assert route(SUMMARY_2, [View(SBD, is_up=True, room=400)], RULES).wait is Wait.NOW


@pytest.mark.parametrize(
    ("want", "situation", "says"),
    [
        (STUDY_5, {"gsm": SPENT}, "waits for gsm: budget of today spent"),
        (STUDY_5, {"lan": ABSENT, "gsm": "up"}, "waits for lan: is not there; gsm takes it when lan stays away"),
        (SUMMARY_2, {"gsm": "up"}, "goes by gsm"),
        (SUMMARY_2, {"gsm": "closed"}, "goes as soon as it is open: gsm"),
        (STUDY_5, {"sbd": "up"}, "has no way: no way's terms let it carry this object"),
        (replace(STUDY_5, carried_left_s=9), {"gsm": "up"}, "waits for gsm: a copy is being carried"),
    ],
)
def test_why_is_said_in_a_line(want, situation, says):
    assert say(route(want, views(**situation), RULES)) == says


def test_until_when_is_the_first_thing_that_may_change_it():
    assert route(STUDY_5, views(lan=SPENT, gsm="up"), RULES).left_s == 3600
    assert route(Want(offer(), 3599), views(lan=SPENT, gsm=QUIET), RULES).left_s == 1
    assert route(PATIENT, views(lan=SPENT, gsm=QUIET), RULES).left_s == 600
    assert route(CUSTODY, views(lan=ABSENT, gsm="up"), RULES).left_s == 1
    assert say(route(STUDY_5, views(gsm=SPENT), RULES), "00:00") == "waits for gsm: budget of today spent, until 00:00"


def test_the_first_object_decides_which_way_is_used():
    seen = views(gsm="up", sbd="up")
    small = Want(offer(9, SUMMARY, 100, 2))
    assert decide([small, STUDY_5], seen, RULES, None, 0).use == "gsm"
    assert decide([], seen, RULES, "gsm", 100).use is None
    apart = [replace(view, terms=replace(view.terms, priority=(3, 9))) if view.terms is GSM else view for view in seen]
    assert decide([small, STUDY_5], apart, RULES, None, 0).use == "sbd"
    assert decide([small, STUDY_5], apart, RULES, "gsm", DWELL_S - 1).use == "gsm"
    assert decide([small, STUDY_5], apart, RULES, "gsm", DWELL_S).use == "sbd"


PREVIEW_4 = Want(offer(7, PREVIEW, 4000, 4))
KEPT = {
    Kept.FOR_ALL: [STUDY_5, PREVIEW_4, SUMMARY_4, SUMMARY_2, CUSTODY, ALARM_STUDY],
    Kept.FROM_BULK: [PREVIEW_4, SUMMARY_4, SUMMARY_2, CUSTODY, ALARM_STUDY],
    Kept.FROM_PREVIEWS: [SUMMARY_4, SUMMARY_2, CUSTODY, ALARM_STUDY],
    Kept.FROM_SUMMARIES: [ALARM_STUDY],
}


@pytest.mark.parametrize("kept", Kept)
def test_near_the_end_of_a_budget_bulk_stops_first_then_previews_then_summaries(kept):
    seen = [View(GSM, is_up=True, kept=kept, renews_s=60.0)]
    for want in KEPT[Kept.FOR_ALL]:
        found = route(want, seen, RULES)
        assert found.goes == policy.admits(want, "gsm", seen, RULES) == (want in KEPT[kept])
        if not found.goes:
            assert (found.bars, found.left_s) == ({Bar.BUDGET}, 60.0)
            assert "is kept for" in found.why


def test_of_two_equal_ways_the_one_in_use_stays_in_use():
    assert decide([STUDY_5], views(gsm="up", lte="up"), RULES, "lte", 10**6).use == "lte"
    assert decide([STUDY_5], views(gsm="up", lte="up"), RULES, None, 0).use == "gsm"


def test_a_cheap_way_that_opens_slowly_is_gone_on_with_beside_the_dear_one():
    decision = decide([SUMMARY_2], views(lan="slow", gsm="up"), RULES, "gsm", 500)
    assert decision.use == "gsm"
    assert decision.also_open == {"lan"}


def test_what_is_not_served_for_long_has_its_turn():
    only_bulk = replace(GSM, priority=(5, 9))
    hungry = [View(only_bulk, is_up=True, unserved_s=STARVING_S + 1), View(SBD, is_up=True)]
    assert decide([SUMMARY_2, STUDY_5], hungry, RULES, "sbd", DWELL_S).use == "gsm"
    fed = [View(only_bulk, is_up=True, unserved_s=STARVING_S), View(SBD, is_up=True)]
    assert decide([SUMMARY_2, STUDY_5], fed, RULES, "sbd", DWELL_S).use == "sbd"


# What holds always

prices = st.builds(Tariff, *[st.integers(0, 3).map(lambda n: n * 10_000)] * 4)
all_terms = st.builds(
    Terms,
    st.just("x"),
    rank=st.integers(1, 3),
    carries=st.sampled_from(["all", "all", "summaries", "urgent"]),
    object_size_max=st.sampled_from([0, 0, 500]),
    priority=st.sampled_from([(1, 9), (1, 4), (5, 9)]),
    delay_s=st.sampled_from([0.0, 60.0, 7200.0]),
    is_message=st.booleans(),
    tariff=prices,
)
bars = st.sampled_from([None, None, None, RESTING, SPENT, QUIET, ABSENT])
any_views = st.lists(
    st.builds(View, all_terms, bars, st.booleans(), st.sampled_from([None, 1.0, 61.0]), st.sampled_from([None, 400])),
    max_size=4,
).map(lambda made: [replace(v, terms=replace(v.terms, name=f"w{n}", place=n)) for n, v in enumerate(made)])
any_offers = st.builds(
    offer, st.integers(1, 99), st.sampled_from([STUDY, SUMMARY, FILE]), st.sampled_from([100, 450, 9000]),
    st.integers(1, 9),
)  # fmt: skip
any_wants = st.builds(Want, any_offers, st.sampled_from([0.0, 60.0, 3600.0, 10.0**6]), st.booleans())


@settings(deadline=None)
@given(st.lists(any_wants, max_size=5), any_views, st.sampled_from(["w0", "w1", None]), st.floats(0, 1e5))
def test_nothing_goes_where_it_may_not(wants, seen, using, using_s):
    decision = decide(wants, seen, RULES, using, using_s)
    by_name = {view.terms.name: view for view in seen}
    for want in wants:
        one = decision.routes[want.offer.object_id]
        if one.goes:
            view = by_name[one.way]
            same = [other for other in wants if other.offer.object_id == want.offer.object_id]
            assert any(policy.may_carry(other.offer, view.terms, RULES) for other in same)
            assert any(policy.bar_of(other, view, RULES) is None for other in same)
    if decision.use is not None:
        assert by_name[decision.use].terms.carries
        assert decision.use not in decision.also_open


@settings(deadline=None)
@given(any_offers, any_views, st.sampled_from(Kept), st.sampled_from([0.0, 3600.0]))
def test_bulk_never_spends_what_a_summary_may_not(bulk, seen, kept, waiting_s):
    """Whatever is left, and whatever ways there are: where bulk goes, a summary that has waited as long goes, too."""
    seen = [replace(view, kept=kept, is_up=True) for view in seen]
    summary = Want(replace(bulk, kind=SUMMARY, size=1), waiting_s)
    for view in seen:
        if policy.admits(Want(bulk, waiting_s), view.terms.name, seen, RULES):
            assert policy.may_carry(summary.offer, view.terms, RULES)
            assert policy.bar_of(summary, view, RULES) is None


@settings(deadline=None)
@given(any_wants, any_views)
def test_an_object_that_goes_now_is_admitted_there(want, seen):
    found = route(want, seen, RULES)
    if found.wait is Wait.NOW:
        assert policy.admits(want, found.way, seen, RULES)


@settings(deadline=None, max_examples=30)
@given(st.lists(any_offers, min_size=1, max_size=12, unique_by=lambda one: one.object_id), any_views)
def test_no_object_starves_that_some_way_may_carry(offers, seen):
    """Ways that are not barred open at once and carry one object a minute; new urgent ones never stop coming."""
    seen = [replace(view, room=None, opening_s=None) for view in seen]
    waiting = {one.object_id: 0.0 for one in offers}
    left = {one.object_id: one for one in offers}
    able = {
        one.object_id for one in offers if any(
            view.barred is None and policy.may_carry(one, view.terms, RULES)
            for view in seen
        )
    }  # fmt: skip
    unserved = dict.fromkeys((view.terms.name for view in seen), 0.0)
    using, using_s = None, 0.0
    for minute in range(60 * 12):
        fresh = offer(1000 + minute, SUMMARY, 100, 1)
        wants = [Want(fresh)] + [
            Want(one, waiting[one.object_id]) for one in sorted(left.values(), key=lambda o: o.priority)
        ]
        shown = [replace(v, unserved_s=unserved[v.terms.name], is_up=v.barred is None) for v in seen]
        use = decide(wants, shown, RULES, using, using_s).use
        using, using_s = use, using_s + 60 if use == using else 0.0
        unserved = {name: 0.0 if name == use else s + 60 for name, s in unserved.items()}
        served = [w.offer.object_id for w in wants[1:] if use and policy.admits(w, use, shown, RULES)]
        left.pop(served[0] if served else b"", None)
        waiting = {object_id: waiting[object_id] + 60 for object_id in left}
    assert not able & set(left)
