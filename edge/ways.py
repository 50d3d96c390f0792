"""The supervisor of a kit's ways: it asks the policy, opens and closes roads, and moves the one session between them.

Synchronous: roads give bearers to the ears of their way, time comes by `tick`; the daemon drives it with real roads
(`edge/roads.py`), the simulation in virtual time. It stands between the bearers and `edge.kit.Link`, so that every
frame is charged to its way (`edge/metered.py`).

How the session moves: the way that the policy wants is opened while the one in use goes on; when it has a bearer, the
session is put on it; when it has been heard, the one before is closed. When it stays silent, the one before takes over
again and the new one rests, longer each time. A way that costs nothing is given up for its silence only when another
could do its work: the only one there is, is kept, for the session goes on by itself when the link is back. One that
costs money or energy rests, and is tried again and again: out of coverage it would empty its budget. What is open and
has nothing to do is closed, unless being open costs nothing.

What survives a crash: the budget. Patience begins anew with each start, and so do the rests of ways that failed.
Raises nothing: a failed disk is told to the kit, which opens its stores anew, and by `reopen` the budget.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from edge import policy
from edge.budget import Budget
from edge.config import KitConfig
from edge.day import quiet_left_s
from edge.kit import Kit
from edge.metered import Metered, Purse
from edge.policy import Bar, Barred, Decision, Kept, Route, Rules, View, Wait, Want
from edge.tariff import NOTHING, Amount, Tariff
from edge.terms import Terms, limit_of, terms_of
from edge.unanswered import Unanswered, silent_rate
from edge.way import REST_S_MAX, SESSION_STATES, Road, RoadStatus, Way, WayEvent, WayState
from node.clock import Clock
from node.disk import Disk
from node.modems.seam import Ears
from node.seams import Bearer, Offer
from wire.errors import DiskError

WANTS_MAX: Final = 1024
"""Objects that are routed at a time, the most urgent first; the others follow when these have gone."""
WAITING_STEP_S: Final = 10.0
WANT_S: Final = 0.001
"""Decisions are so much rarer for each object that waits: a thousand cost a Pi a tenth of a second."""
TICK_S: Final = 1.0
IDLE_TICK_S: Final = 5.0
OPENING_S_MAX: Final = 240.0
"""A road that gives no bearer for so long is closed and rests."""
SILENCE_S: Final = 25.0
MESSAGE_SILENCE_S: Final = 900.0
"""A way that has work and is not heard for so long gives way to another, when there is one: before the caller doubts
its session (`node.caller.DOUBT_S`), for a new one costs two messages where messages are billed."""
MESSAGE_ANSWER_S: Final = 120.0
MESSAGE_REST_S: Final = 10.0
"""The session stays on a way of messages so long for an answer, which is paid for, and so long to go on after one."""
LONE_SILENCE_S: Final = 300.0
LONE_REST_S: Final = 60.0
"""The only one is opened anew after so long, and rests no longer than this, when it costs nothing."""
LONE_CALL_SILENCE_S: Final = 55.0
"""The minute of a call that has been begun is paid."""
LONE_DEAR_REST_S: Final = 180.0
IDLE_S: Final = 120.0
IDLE_DEAR_S: Final = 20.0
"""A way with nothing to do is closed after so long; sooner when its minutes or its messages cost money, or little of
its budget is left: a gateway that still expects something asks for it a minute long."""
POLL_S: Final = 3600.0
"""How often receipts are asked for when nothing else is to be sent."""

PREVIEWS_PART: Final = 1 / 2
ALARMS_PART: Final = 1 / 4
"""So much of what bulk leaves is left by previews, too, and so much by summaries, for alarms. A way that carries no
bulk leaves all of it to alarms."""
FIRST_LOOK_EXTRA: Final = 512
"""Bytes that go with a summary: its offer, its receipt, the heads of frames."""

MakeRoad = Callable[[Terms, Ears], Road]


class WayEars:
    """The ears of one way (`node.modems.seam.Ears`): what its road tells goes to the supervisor with its name."""

    def __init__(self, ways: "Ways", name: str) -> None:
        self._ways, self._name = ways, name

    def bearer_up(self, bearer: Bearer, now: float) -> None:
        self._ways.bearer_up(self._name, bearer, now)

    def bearer_down(self, bearer: Bearer, now: float) -> None:
        self._ways.bearer_down(self._name, bearer, now)

    def receive(self, bearer: Bearer, frame: bytes, now: float) -> None:
        self._ways.receive(self._name, bearer, frame, now)

    def tick(self, now: float) -> None:
        self._ways.tick(now)


class Ways:
    """See the module's text. A synchronous node, to be driven in place of `kit.link`."""

    def __init__(self, kit: Kit, make_road: MakeRoad, disk: Disk, clock: Clock) -> None:
        self._kit, self._disk, self.clock = kit, disk, clock
        config = kit.config
        self.rules = self.rules_of(config)
        self.zone = ZoneInfo(config.policy.zone)
        self._terms = [terms_of(way, place) for place, way in enumerate(config.way)]
        self.budget = self._open_budget()
        now = clock.now()
        self.ways = {
            terms.name: Way(terms, self._purse(terms), make_road(terms, WayEars(self, terms.name)), now)
            for terms in self._terms
        }
        self.using: Way | None = None
        self.wants: list[Want] = []
        self.plan = Decision()
        self._views: list[View] = []
        self._kept: dict[str, Kept] = {}
        self._first_looks: dict[str, Amount] = {}
        """What the summaries that wait will cost on each way."""
        self._admitted: frozenset[bytes] = frozenset()
        self._since: dict[bytes, float] = {}
        self._carried: dict[bytes, float] = {}
        """Until when the stick that has a copy should have arrived."""
        self._pending: Sequence[Offer] = ()
        self._receipts: list[Want] = []
        """What is in custody: it keeps no way open, and may use the one that is."""
        self._asked_at = now
        self._decide_at = self._decided_at = now
        kit.heed(self.admits)

    @staticmethod
    def rules_of(config: KitConfig) -> Rules:
        """Return what a configuration says for all ways."""
        return Rules(config.policy.urgent, config.policy.patience_min * 60, config.policy.urgent_share)

    def _purse(self, terms: Terms) -> Purse:
        rate_bytes_s = None if terms.is_message else silent_rate(terms.tariff, (terms.limit, self.budget.total))
        return Purse(terms.name, terms.tariff, self.budget, Unanswered(rate_bytes_s, self.clock.now))

    # What roads call

    def bearer_up(self, name: str, inner: Bearer, now: float) -> None:
        """A road has a bearer."""
        way = self.ways[name]
        if not way.is_open or way.terms.is_carried:
            inner.close()
            return
        bearer = way.up(inner, now)
        if way is self.using:
            self._kit.link.bearer_up(bearer, now)
        self._decide_at = now
        self._work(now)

    def bearer_down(self, name: str, inner: Bearer, now: float) -> None:
        """A road has lost its bearer, and will give another."""
        way = self.ways[name]
        if way.bearer is None or way.bearer.inner is not inner:
            return
        bearer = way.bearer
        way.down(now)
        self._leave(way, bearer, now)
        self._decide_at = now
        self._work(now)

    def receive(self, name: str, inner: Bearer, frame: bytes, now: float) -> None:
        """A frame has come by a way. Never raises on hostile bytes."""
        way = self.ways[name]
        if way.bearer is None:
            return
        way.purse.count(len(frame) + inner.overhead)
        before = self._kit.caller.last_heard
        self._kit.link.receive(way.bearer, frame, now)
        if self._kit.caller.last_heard != before and way.is_up:
            self._heard(way, now)
        self._work(now)

    def carried(self, object_ids: Sequence[bytes], name: str, now: float) -> None:
        """Copies of these objects lie on what is carried by hand."""
        until = now + self.ways[name].terms.delay_s
        for object_id in object_ids[: WANTS_MAX - len(self._carried)]:
            self._carried.setdefault(object_id, until)

    # Time

    def tick(self, now: float) -> None:
        """Let time pass; to be called at `deadline()`, or earlier."""
        self._kit.link.tick(now)
        self._work(now)

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called."""
        if self._kit.disk_failed:
            return None
        at = self._kit.link.deadline()
        wants_more = self.using is not None and self.using.purse.want_more
        mine = self._looked_at if wants_more else self._decide_at
        return mine if at is None else min(at, mine)

    def reopen(self, now: float) -> None:
        """The kit has opened its stores anew: so is the budget."""
        try:
            self.budget = self._open_budget()
        except DiskError as error:
            self._kit.fail(error)
            return
        for way in self.ways.values():
            way.purse.budget = self.budget
        self._decide_at = now
        self._work(now)

    def stop(self, now: float) -> None:
        """Orderly end: every road is closed, every sum is exact."""
        try:
            for way in self.ways.values():
                if way.is_open:
                    self._close(way, now)
            self.budget.settle()
        except DiskError as error:
            self._kit.fail(error)

    # What the caller asks

    def admits(self, offer: Offer, bearer: Bearer) -> bool:
        """Tell whether the object may go over the bearer now."""
        if not isinstance(bearer, Metered):
            return False
        return policy.admits(self._want(offer, self.clock.now()), bearer.way, self._views, self.rules)

    # Within

    _looked_at = 0.0

    def _work(self, now: float) -> None:
        self._looked_at = now
        if self._kit.disk_failed:
            return
        try:
            self._tend_all(now)
            if self._kit.outbox.pending() is not self._pending:
                self._decide_at = min(self._decide_at, self._decided_at + len(self.wants) * WANT_S)
            if self._decide_at <= now:
                self._decide(now)
        except DiskError as error:
            self._kit.fail(error)

    def _open_budget(self) -> Budget:
        limits = {terms.name: terms.limit for terms in self._terms}
        budget = Budget(self._disk, self.clock, self.zone, limits, limit_of(self._kit.config.policy.budget))
        if budget.damaged:
            self._kit.alarm("what was spent today on the links cannot be read: the budget of today begins anew")
        if not budget.is_noted:
            self._kit.alarm("the card has no room to note what the links cost: a power cut would forget it")
        return budget

    def _tend_all(self, now: float) -> None:
        """Let each way's costs, rests and silences take their course."""
        if self.budget.look():
            self._kit.note("links", "a new day's budget begins")
            self._decide_at = now
        for way in self.ways.values():
            way.accrue(now)
            if way.state is WayState.RESTING and way.rest_until <= now:
                way.change(WayEvent.RESTED, now)
                self._decide_at = now
            elif way.is_open and not way.terms.is_carried:
                self._tend(way, now)
        self.budget.catch_up()

    def _tend(self, way: Way, now: float) -> None:
        status = way.road.status()
        wanted_more = way.purse.want_more
        if not way.top_up(now):
            self._kit.note("links", f"{way.name}: the budget of today is spent")
            self._close(way, now)
        elif status.needs_person:
            self._fail(way, status.text or "needs a person", now)
            way.needs_person = True
        elif way.state is WayState.OPENING and now - way.quiet_since > OPENING_S_MAX:
            last = f": {status.text}" if status.text else ""
            self._fail(way, f"no connection within {OPENING_S_MAX:.0f} s{last}", now)
        elif way is self.using:
            self._watch(way, now)
            if self._keeps(way) > self._kept.get(way.name, Kept.FOR_ALL):
                self._decide_at = now  # bulk ends here, before another frame of it goes
            elif wanted_more:
                self._kit.link.tick(now)

    def _watch(self, way: Way, now: float) -> None:
        """Give a way up that has work and is not heard, when another could do the work."""
        way.served_at = now
        if way.work_since is None:
            return
        silence_s = now - max(way.quiet_since, way.work_since, way.since)
        if silence_s <= (MESSAGE_SILENCE_S if way.terms.is_message else SILENCE_S):
            return
        if way.road.turn():
            way.quiet_since = now
        elif silence_s > lone_silence_s(way.tariff) or self._another(way):
            self._fail(way, f"nothing heard for {silence_s:.0f} s", now)

    def _another(self, way: Way) -> bool:
        """Tell whether some way could do this one's work."""
        views = [replace(view, barred=Barred(Bar.RESTING)) if view.terms is way.terms else view for view in self._views]
        return policy.decide(self.wants, views, self.rules, None, 0.0).use is not None

    def _heard(self, way: Way, now: float) -> None:
        was_tried = way.state is WayState.TRYING
        way.heard(now)
        if not way.terms.is_message and way.state in SESSION_STATES:
            self._asked_at = now
        if was_tried:
            self._kit.note("links", f"{way.name} is in use")
            self._decide_at = now

    # Deciding

    def _decide(self, now: float) -> None:
        self._decided_at = now
        self._pending = self._kit.outbox.pending()
        self.wants = self._look_at_wants(now)
        self._first_looks = {name: self._cost_of_first_looks(way) for name, way in self.ways.items()}
        self._views = [self.view_of(way, now) for way in self.ways.values()]
        self._kept = {view.terms.name: view.kept for view in self._views}
        using, using_s = (self.using.name, now - self.using.since) if self.using else (None, 0.0)
        self.plan = policy.decide(self.wants, self._views, self.rules, using, using_s)
        working = {one.way for one in self.plan.routes.values() if one.goes}
        for way in self.ways.values():
            way.work_since = (now if way.work_since is None else way.work_since) if way.name in working else None
            way.worked_at = now if way.name in working else way.worked_at
        self._carry_out(now)
        self._tell_caller(now)
        self._tell_panel()
        self._decide_at = now + (TICK_S + len(self.wants) * WANT_S if self.wants else IDLE_TICK_S)

    def _look_at_wants(self, now: float) -> list[Want]:
        """Return what a way is wanted for: receipts only when nobody could have brought them for long."""
        first = islice((offer for offer in self._pending if not offer.again), WANTS_MAX)
        again = islice((offer for offer in self._pending if offer.again), WANTS_MAX)
        known = [offer.object_id for offers in (first, again) for offer in offers]
        self._since = {one: self._since.get(one, now) for one in known}
        self._carried = {one: self._carried[one] for one in known if one in self._carried}
        wants = [self._want(offer, now) for offer in self._pending if offer.object_id in self._since]
        self._receipts = [want for want in wants if want.in_custody]
        asks = now - self._asked_at >= POLL_S
        return [want for want in wants if asks or not want.in_custody]

    def _want(self, offer: Offer, now: float) -> Want:
        """Return the object as the policy sees it; times in whole steps, so that many objects are alike."""
        waiting_s = (now - self._since.get(offer.object_id, now)) // WAITING_STEP_S * WAITING_STEP_S
        carried_left_s = -((now - self._carried.get(offer.object_id, now)) // WAITING_STEP_S) * WAITING_STEP_S
        carried_left_s = max(carried_left_s, 0.0)
        return Want(offer, waiting_s, offer.again, carried_left_s)

    def view_of(self, way: Way, now: float) -> View:
        """Return what the policy sees of a way."""
        return View(
            terms=way.terms,
            barred=self._bar(way, way.road.status(), now),
            is_up=way.is_up,
            opening_s=now - way.quiet_since if way.state is WayState.OPENING else None,
            room=way.room_for_object(),
            unserved_s=0.0 if way is self.using else now - way.served_at,
            kept=self._keeps(way),
            renews_s=self.budget.renews_in_s(),
        )

    def _keeps(self, way: Way) -> Kept:
        """Return who leaves what is left of the budget to others."""
        share = self.rules.urgent_share
        carries_bulk = way.terms.carries == "all"
        if self.budget.is_thin(way.name, share * ALARMS_PART if carries_bulk else share):
            return Kept.FROM_SUMMARIES
        if self.budget.is_thin(way.name, share * PREVIEWS_PART):
            return Kept.FROM_PREVIEWS
        is_thin = self.budget.is_thin(way.name, share, self._first_looks.get(way.name, NOTHING))
        return Kept.FROM_BULK if is_thin else Kept.FOR_ALL

    def _cost_of_first_looks(self, way: Way) -> Amount:
        costs = (
            way.tariff.frame(FIRST_LOOK_EXTRA + (0 if want.in_custody else want.offer.size))
            for want in self.wants
            if policy.is_first_look(want) and policy.may_carry(want.offer, way.terms, self.rules)
        )
        return sum(costs, NOTHING)

    def _bar(self, way: Way, status: RoadStatus, now: float) -> Barred | None:
        if not status.is_there:
            return Barred(Bar.ABSENT, None, status.text)
        if way.state is WayState.RESTING:
            return Barred(Bar.LOCKED if way.needs_person else Bar.RESTING, way.rest_until - now, way.trouble)
        if not way.is_open and not way.can_start():
            return Barred(Bar.BUDGET, self.budget.renews_in_s())
        quiet_s = quiet_left_s(way.terms.quiet, self.clock.time_ms(), self.zone)
        return Barred(Bar.QUIET, quiet_s) if quiet_s else None

    def _carry_out(self, now: float) -> None:
        """Open what is wanted, move the session, close what is not wanted any more."""
        target = self.ways[self.plan.use] if self.plan.use is not None else None
        for way, view in zip(self.ways.values(), self._views, strict=True):
            wanted = way is target or way.name in self.plan.also_open
            if way.is_open and not wanted and (view.barred is not None or self._is_idle(way, target, now)):
                self._close(way, now)
            elif way.state is WayState.CLOSED and view.barred is None and (wanted or self._is_kept(way)):
                way.open(now)
            elif way is target and way.state is WayState.CLOSED:
                way.open(now)  # an alarm in quiet hours
        if target is None and self.using is None:
            target = next((way for way in self.ways.values() if self._is_kept(way) and way.is_up), None)
        if target is not None and target is not self.using and target.is_up and not self._is_asking(now):
            self._take(target, now)

    def _is_asking(self, now: float) -> bool:
        """Tell whether an answer by messages, which are paid for, is waited for or has just come."""
        way = self.using
        if way is None or not way.terms.is_message:
            return False
        asked_at = way.purse.unanswered.since
        is_fresh = now - way.quiet_since < MESSAGE_REST_S
        if not is_fresh and (asked_at is None or now - asked_at > MESSAGE_ANSWER_S):
            return False
        return any(policy.may_carry(want.offer, way.terms, self.rules) for want in self.wants)

    def _is_kept(self, way: Way) -> bool:
        return way.terms.keep or way.terms.is_carried

    def _is_idle(self, way: Way, target: Way | None, now: float) -> bool:
        """Tell whether an open way that nobody wants is to be closed."""
        if self._is_kept(way):
            return False
        if target is not None and way is not self.using and target.state is WayState.CARRYING:
            return True  # the session has moved, and was heard there
        if way is self.using and target is not None and target is not way:
            return False  # it works until the other is there
        tariff = way.tariff
        is_dear = way.terms.is_message or tariff.micros_per_minute > 0 or self._kept[way.name]
        return now - way.worked_at > (IDLE_DEAR_S if is_dear else IDLE_S)

    def _take(self, way: Way, now: float) -> None:
        """Put the session on another way."""
        before, self.using = self.using, way
        if before is not None:
            before.change(WayEvent.LEAVE, now)
        assert way.bearer is not None  # noqa: S101 - it is up
        way.change(WayEvent.TAKE, now)
        self._kit.call_gateway(way.terms.gateway)
        self._kit.link.bearer_up(way.bearer, now)

    def _close(self, way: Way, now: float) -> None:
        bearer = way.bearer
        try:
            way.close(now)
        finally:
            self._leave(way, bearer, now)

    def _fail(self, way: Way, why: str, now: float) -> None:
        bearer, lone_s = way.bearer, LONE_REST_S if way.tariff.is_free else LONE_DEAR_REST_S
        try:
            way.fail(why, now, REST_S_MAX if self._another(way) else lone_s)
        finally:
            self._leave(way, bearer, now)
        self._kit.note("links", f"{way.name}: {why}; tried again in {way.rest_until - now:.0f} s")

    def _leave(self, way: Way, bearer: Metered | None, now: float) -> None:
        self._decide_at = now
        if way is self.using:
            self.using = None
            if bearer is not None:
                self._kit.link.bearer_down(bearer, now)

    # Telling

    def _tell_caller(self, now: float) -> None:
        """What may go over the way in use has changed: let the link look again."""
        using = self.using
        if using is None:
            return
        using.note_rate(self._kit.caller.progress(now).rate_bps)
        key, found = policy.alike(self._views, self.rules), dict[Hashable, bool]()
        wants = [*(want for want in self.wants if not want.in_custody), *self._receipts]
        for want in wants:
            like = key(want)
            if like not in found:
                found[like] = policy.admits(want, using.name, self._views, self.rules)
        admitted = frozenset(want.offer.object_id for want in wants if found[key(want)])
        if admitted != self._admitted:
            self._admitted = admitted
            self._kit.link.nudge(now)

    def _tell_panel(self) -> None:
        routes = self.plan.routes.values()
        on_messages = self.using is not None and self.using.terms.is_message
        self._kit.is_held_back = bool(self.wants) and (on_messages or any(is_held_back(one) for one in routes))
        self._kit.person_wanted = any(way.needs_person for way in self.ways.values())


def lone_silence_s(tariff: Tariff) -> float:
    """Return for how long the only way there is, is kept open while nothing is heard."""
    if tariff.is_free:
        return LONE_SILENCE_S
    return LONE_CALL_SILENCE_S if tariff.micros_per_minute else SILENCE_S


HELD_BACK: Final = frozenset({Bar.BUDGET, Bar.QUIET, Bar.PATIENCE, Bar.CARRIED})


def is_held_back(route: Route) -> bool:
    """Tell whether it is the policy that lets an object wait, and not the coverage."""
    return route.wait is Wait.BARRED and bool(HELD_BACK & route.bars)
