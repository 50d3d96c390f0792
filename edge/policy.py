"""Which way each object takes, which one to use now, and why: decisions only; no state, no clock, no I/O (R31).

An object takes the cheapest way that meets its urgency:

* What is *urgent* (`policy.urgent` and before it) takes the cheapest way that can be had now. It waits for one that is
  just being opened, OPENING_S at most. By a way that takes longer than URGENT_DELAY_S it goes only when its patience
  has ended, too.
* Everything else waits for a way of the cheapest level that may ever carry it, `patience_s` at most, and then takes
  any that may.
* Terms bind before everything: a way carries all, or summaries, or what is urgent; sizes; priorities. So no patience
  brings bulk onto a satellite.
* A way that is barred is passed over: its budget is spent, its hours are quiet, its modem is not there, it rests after
  a failure. Quiet hours hold back everything but priority ALARM.
* The last part of a budget (`urgent_share`) is kept (`Kept`): bulk in the morning must not cost the summary of the
  afternoon its way, nor that the alarm of the evening.
* What lies on a stick that is being carried takes only ways that cost nothing until the stick should have arrived.

Carried ways are beside all this: they take whatever they may while they are there, and cost nobody's session. Of the
others one is in use at a time, for a kit has one session. The first object in the queue decides which; the way in use
is kept for DWELL_S while it has work, so that it does not flap; and what has not been served for STARVING_S goes
before, so that a stream of urgent objects on one way does not starve bulk that only another carries.
"""

import bisect
import enum
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge.terms import Terms
from wire import objects
from wire.objects import Offer

ALARM: Final = 1
"""The priority that quiet hours do not hold back, and that a way for summaries carries whatever its kind."""
OPENING_S: Final = 60.0
URGENT_DELAY_S: Final = 3600.0
DWELL_S: Final = 60.0
STARVING_S: Final = 600.0
RECEIPT_PATIENCES: Final = 4
"""An object whose bytes have arrived waits so many times as long: until its receipt comes it only takes up the card."""


class Bar(enum.Enum):
    """Why a way cannot be used now; the last two hold for one object only."""

    ABSENT = "is not there"
    LOCKED = "needs a person"
    BUDGET = "budget of today spent"
    QUIET = "quiet hours"
    RESTING = "rests after a failure"
    PATIENCE = "waits for a cheaper way"
    CARRIED = "is being carried"


@dataclass(frozen=True, slots=True)
class Barred:
    """A bar, for how long (None: nobody knows), and what there is to say about it."""

    bar: Bar
    left_s: float | None = None
    text: str = ""


class Kept(enum.IntEnum):
    """Who may not spend what is left of a budget: each step bars one more kind of object. Alarms are never barred."""

    FOR_ALL = 0
    FROM_BULK = 1
    FROM_PREVIEWS = 2
    FROM_SUMMARIES = 3


KEPT_FOR: Final = {
    Kept.FROM_BULK: "the rest of today's budget is kept for summaries and what is urgent",
    Kept.FROM_PREVIEWS: "the rest of today's budget is kept for summaries and what is urgent",
    Kept.FROM_SUMMARIES: "the rest of today's budget is kept for alarms",
}


@dataclass(frozen=True, slots=True)
class View:
    """What the policy sees of one way now."""

    terms: Terms
    barred: Barred | None = None
    is_up: bool = False
    """It has a bearer, and has been heard or is being tried."""
    opening_s: float | None = None
    """For how long it is being opened; None when it is not."""
    room: int | None = None
    """The largest object that still fits into its budget, where a part of one is of no use; None: any."""
    unserved_s: float = 0.0
    """For how long it has not been in use."""
    kept: Kept = Kept.FOR_ALL
    renews_s: float | None = None
    """When the budget begins anew."""


@dataclass(frozen=True, slots=True)
class Want:
    """One object that waits. `in_custody`: its bytes have arrived, and only its receipt is waited for."""

    offer: Offer
    waiting_s: float = 0.0
    in_custody: bool = False
    carried_left_s: float = 0.0
    """A copy is on its way by hand, and should be there after so long."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all ways."""

    urgent: int = 2
    patience_s: float = 3600.0
    urgent_share: float = 0.2
    """This part of each budget bulk leaves to summaries and what is urgent."""


class Wait(enum.Enum):
    """How it stands with an object."""

    NOW = "goes by"
    OPENING = "goes as soon as it is open:"
    BARRED = "waits for"
    NOWHERE = "has no way"


@dataclass(frozen=True, slots=True)
class Route:
    """What is decided for one object: `way` is the one that it takes or, with a wait, waits for ("" when none may)."""

    wait: Wait
    way: str = ""
    why: str = ""
    left_s: float | None = None
    """For how long it waits at most; None when nobody knows."""
    also: tuple[str, ...] = ()
    """Cheaper ways that take long to open, and are worth going on with."""
    bars: frozenset[Bar] = frozenset()
    """What holds it back."""

    @property
    def goes(self) -> bool:
        return self.wait in {Wait.NOW, Wait.OPENING}


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now: the way to use (None: none is wanted), others to try beside it, and the route of each object."""

    use: str | None = None
    also_open: frozenset[str] = frozenset()
    routes: Mapping[bytes, Route] = field(default_factory=dict)


def may_carry(offer: Offer, terms: Terms, rules: Rules) -> bool:
    """Tell whether the way's terms let it carry the object at all, now or ever."""
    low, high = terms.priority
    if not low <= offer.priority <= high or (terms.object_size_max and offer.size > terms.object_size_max):
        return False
    if offer.again and terms.is_message:
        return False  # the bytes are there: a receipt is not worth a billed message
    if terms.carries == "urgent":
        return offer.priority <= rules.urgent
    return terms.carries == "all" or offer.kind in {objects.SUMMARY, objects.COMMAND} or offer.priority <= ALARM


def is_urgent(want: Want, rules: Rules) -> bool:
    """Tell whether it may take a dear way at once."""
    return want.offer.priority <= rules.urgent and not want.in_custody


def is_first_look(want: Want) -> bool:
    """Tell whether it is small and says what matters: a summary, a message of persons, the question for a receipt."""
    return want.in_custody or want.offer.kind in {objects.SUMMARY, objects.COMMAND}


def kept_from(want: Want, rules: Rules) -> int:
    """Return from which step of `Kept` on the object may spend nothing; beyond the last one where there is none."""
    if want.offer.priority <= ALARM:
        return Kept.FROM_SUMMARIES + 1
    if is_first_look(want) or is_urgent(want, rules):
        return Kept.FROM_SUMMARIES
    return Kept.FROM_PREVIEWS if want.offer.kind == objects.PREVIEW else Kept.FROM_BULK


def candidates(want: Want, views: Iterable[View], rules: Rules, using: str | None) -> list[View]:
    """Return the ways that may carry the object, the one to prefer first; of equal ones the one in use."""
    able = [view for view in views if not view.terms.is_carried and may_carry(want.offer, view.terms, rules)]
    able.sort(key=lambda view: (view.terms.level, view.terms.name != using, view.terms.order))
    quick = [view for view in able if view.terms.delay_s <= URGENT_DELAY_S]
    is_hasty = is_urgent(want, rules) and want.waiting_s < rules.patience_s
    return quick if quick and is_hasty else able


def _hesitates(want: Want, view: View, first: View, rules: Rules) -> float:
    """Return for how long the object does not take this way because a cheaper one may come; 0 when it takes it."""
    terms = view.terms
    if want.carried_left_s > 0 and terms.tariff.price(want.offer.size) and not is_urgent(want, rules):
        return want.carried_left_s
    if terms.level == first.terms.level or is_urgent(want, rules):
        return 0.0
    return max(_patience_s(want, rules) - want.waiting_s, 0.0)


def _patience_s(want: Want, rules: Rules) -> float:
    """Return for how long an object waits for a cheaper way: a receipt is in no hurry, but the cheapest may be dead."""
    return rules.patience_s * (RECEIPT_PATIENCES if want.in_custody else 1)


def bar_of(want: Want, view: View, rules: Rules) -> Barred | None:
    """Return why the way cannot carry the object now, or None."""
    barred = view.barred
    if barred is None and view.kept >= kept_from(want, rules):
        barred = Barred(Bar.BUDGET, view.renews_s, KEPT_FOR[view.kept])
    if barred is not None and not (barred.bar is Bar.QUIET and want.offer.priority <= ALARM):
        return barred
    if view.room is not None and want.offer.size > view.room:
        return Barred(Bar.BUDGET, None, "larger than what the budget of today has left")
    return None


def admits(want: Want, name: str, views: Sequence[View], rules: Rules) -> bool:
    """Tell whether the object may go over the way `name`, which is up, while it is the one in use."""
    able = candidates(want, views, rules, name)
    view = next((view for view in able if view.terms.name == name), None)
    return view is not None and bar_of(want, view, rules) is None and _hesitates(want, view, able[0], rules) == 0


def route(want: Want, views: Sequence[View], rules: Rules, using: str | None = None) -> Route:
    """Return what is to be done about one object."""
    able = candidates(want, views, rules, using)
    if not able:
        return Route(Wait.NOWHERE, why="no way's terms let it carry this object")
    slow: list[str] = []
    passed: list[Barred] = []
    for at, view in enumerate(able):
        name, hesitates_s = view.terms.name, _hesitates(want, view, able[0], rules)
        if hesitates_s:
            passed.append(_hesitation(want, view, able[max(at - 1, 0)], hesitates_s))
            break
        if (barred := bar_of(want, view, rules)) is not None:
            passed.append(barred)
        elif view.is_up:
            return Route(Wait.NOW, name, also=tuple(slow))
        elif (view.opening_s or 0.0) < OPENING_S:
            return Route(Wait.OPENING, name, also=tuple(slow))
        else:
            slow.append(name)
    if slow:
        return Route(Wait.OPENING, slow[0], also=tuple(slow[1:]))
    return _held(able[0].terms.name, passed)


def _hesitation(want: Want, view: View, before: View, left_s: float) -> Barred:
    """Say that a dear way is not taken yet."""
    if want.carried_left_s > 0:
        return Barred(Bar.CARRIED, left_s, "a copy is being carried")
    return Barred(Bar.PATIENCE, left_s, f"{view.terms.name} takes it when {before.terms.name} stays away")


def _held(name: str, passed: Sequence[Barred]) -> Route:
    """Say for what an object waits that has no way now: the first bar, and what ends the waiting first."""
    left = [barred.left_s for barred in passed if barred.left_s is not None]
    why = "; ".join(dict.fromkeys(barred.text or barred.bar.value for barred in (passed[0], passed[-1])))
    bars = frozenset(barred.bar for barred in passed)
    return Route(Wait.BARRED, name, why, min(left, default=None), bars=bars)


def alike(views: Sequence[View], rules: Rules) -> Callable[[Want], Hashable]:
    """Return a function that is equal for objects about which everything is decided alike: thousands may wait.

    How long one has waited matters until patience ends.
    """
    sizes = sorted({size for view in views for size in (view.terms.object_size_max, view.room) if size})

    def key(want: Want) -> Hashable:
        offer = want.offer
        size_class = bisect.bisect_left(sizes, offer.size) if offer.size else -1
        waited_s = min(want.waiting_s, _patience_s(want, rules))
        is_known = offer.again, want.in_custody, waited_s, want.carried_left_s
        return offer.kind, offer.priority, size_class, is_known

    return key


def decide(wants: Sequence[Want], views: Sequence[View], rules: Rules, using: str | None, using_s: float) -> Decision:
    """Return what to do now. `wants`: most urgent and oldest first; `using` has been in use for `using_s`."""
    key, found = alike(views, rules), dict[Hashable, Route]()
    routes: dict[bytes, Route] = {}
    for want in wants:
        like = key(want)
        if like not in found:
            found[like] = route(want, views, rules, using)
        routes[want.offer.object_id] = found[like]
    wanted = dict.fromkeys(one.way for want in wants if (one := routes[want.offer.object_id]).goes)
    if not wanted:
        return Decision(routes=routes)
    by_name = {view.terms.name: view for view in views}
    first = next(iter(wanted))
    use = max(wanted, key=lambda name: (_is_starving(by_name[name], using), name == first))
    if using in wanted and using_s < DWELL_S and by_name[using].is_up:
        use = using
    also = {name for one in routes.values() if one.goes for name in one.also}
    return Decision(use, frozenset(also - {use}), routes)


def _is_starving(view: View, using: str | None) -> bool:
    return view.terms.name != using and view.unserved_s > STARVING_S


def say(one: Route, until: str = "") -> str:
    """Return one line for people: `waits for gsm: budget of today spent, until 00:00`."""
    return (
        f"{one.wait.value} {one.way}".rstrip()
        + f"{': ' if one.why else ''}{one.why}{', until ' if until else ''}{until}"
    )
