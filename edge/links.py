"""What `feldsher kit links` shows: what each way does and costs, what waits for what, and when it will be through.

Plain values for the status file, made once a second by the daemon; nothing here decides. Amounts are in bytes, the
currency and joules; `None` stands for "no limit" and for "not known". Pure but for what it is handed.
"""

from typing import Any, Final

from edge.day import minute_of_day
from edge.kit import Kit
from edge.policy import Route, Want, say
from edge.tariff import MICROS, UNBOUNDED, Amount
from edge.way import RoadStatus, Way, WayState
from edge.ways import Ways, is_held_back
from node.spool import UNCONFIRMED
from wire import objects

WAITING_MAX: Final = 50
"""Objects that are listed; the others are counted."""
DAY_MINUTES: Final = 1440
CARE_S: Final = 0.5
"""So that a rounded time is not shown as the minute before."""


def describe(ways: Ways, kit: Kit, now: float) -> dict[str, Any]:
    """Return all of it."""
    waiting = _waiting(ways, kit)
    known = [eta_s for _, eta_s in waiting]
    total, limit = ways.budget.total_spent(), ways.budget.total
    return {
        "currency": kit.config.policy.currency,
        "ways": [_way(ways, way, kit, now) for way in ways.ways.values()],
        "waiting": [_row(ways, want, eta_s) for want, eta_s in waiting[:WAITING_MAX]],
        "waiting_count": len(kit.outbox.pending()),
        "held_back": sum(is_held_back(route) for route in ways.plan.routes.values()),
        "eta_s": None if None in known else max(filter(None, known), default=None),
        "in_use": [way.name for way in ways.ways.values() if way.state is WayState.CARRYING],
        "being_tried": [way.name for way in ways.ways.values() if way.state is WayState.TRYING],
        "budget": _spent(total, limit),
        "renews_in_s": round(ways.budget.renews_in_s()),
    }


def _way(ways: Ways, way: Way, kit: Kit, now: float) -> dict[str, Any]:
    status, view = way.road.status(), ways.view_of(way, now)
    barred = view.barred
    is_used = way is ways.using
    progress = kit.caller.progress(now) if is_used else None
    left_s = barred.left_s if barred else None
    return {
        "name": way.name,
        "state": _state(way, status),
        "barred": "" if barred is None else barred.text or barred.bar.value,
        "until": _until(ways, left_s),
        "does": "" if barred or not way.is_open else status.text,
        "trouble": way.trouble or (status.text if status.needs_person or not status.is_there else ""),
        "model": status.model,
        "operator": status.operator,
        "is_roaming": status.is_roaming,
        "signal_dbm": status.signal_dbm,
        "rate_bps": round(way.rate_bps),
        "rtt_s": progress.rtt_s if progress else None,
        "frames_lost": progress.counters.frames_lost if progress else 0,
        "starts": way.starts,
        "traffic": {
            "frames_sent": way.purse.traffic.frames_sent,
            "frames_received": way.purse.traffic.frames_received,
            "bytes_sent": way.purse.traffic.bytes_sent,
            "bytes_received": way.purse.traffic.bytes_received,
            "frames_held": way.purse.traffic.frames_held,
            "frames_spared": way.purse.traffic.frames_spared,
        },
        "today": _spent(ways.budget.spent(way.name), ways.budget.limit(way.name)),
    }


def _state(way: Way, status: RoadStatus) -> str:
    """Say how it stands: of what is carried, whether it is in."""
    if way.terms.is_carried and way.is_open:
        return "there" if status.model else "no stick"
    return way.state.value


def _spent(spent: Amount, limit: Amount) -> dict[str, Any]:
    def bound(part: int, unit: int) -> float | None:
        return None if part >= UNBOUNDED.size else part / unit

    return {
        "bytes": spent.size,
        "bytes_max": bound(limit.size, 1),
        "money": spent.micros / MICROS,
        "money_max": bound(limit.micros, MICROS),
        "joules": spent.millijoules / 1000,
        "joules_max": bound(limit.millijoules, 1000),
    }


def _waiting(ways: Ways, kit: Kit) -> list[tuple[Want, float | None]]:
    """Return each object that is routed and still waits, and the seconds until it is through."""
    ahead: dict[str, int] = {}
    found: list[tuple[Want, float | None]] = []
    for want in ways.wants:
        held = kit.spool.get(want.offer.object_id)
        if held is None or held.state not in UNCONFIRMED:
            continue  # gone since the last decision
        route = ways.plan.routes[want.offer.object_id]
        ahead[route.way] = ahead.get(route.way, 0) + want.offer.size
        found.append((want, _eta_s(ways, route, ahead[route.way])))
    return found


def _row(ways: Ways, want: Want, eta_s: float | None) -> dict[str, Any]:
    route = ways.plan.routes[want.offer.object_id]
    return {
        "object_id": want.offer.object_id.hex(),
        "kind": objects.KINDS.get(want.offer.kind, str(want.offer.kind)),
        "priority": want.offer.priority,
        "size": want.offer.size,
        "waiting_s": round(want.waiting_s),
        "way": route.way,
        "says": say(route, _until(ways, route.left_s)),
        "eta_s": eta_s,
    }


def _eta_s(ways: Ways, route: Route, ahead: int) -> float | None:
    """Return when an object is through: after what it waits for, and what goes before it, at the way's rate.

    Nobody knows while its way is being opened or tried: it may stay silent.
    """
    way = ways.ways.get(route.way)
    begins_s = 0.0 if route.goes else route.left_s
    if way is None or not way.rate_bps or begins_s is None:
        return None
    if route.goes and way.state is not WayState.CARRYING:
        return None
    return round(begins_s + ahead * 8 / way.rate_bps + way.terms.delay_s, 1)


def _until(ways: Ways, left_s: float | None) -> str:
    """Return the local time in so many seconds, "" when nobody knows."""
    if left_s is None:
        return ""
    minute = minute_of_day(ways.clock.time_ms() + round((left_s + CARE_S) * 1000), ways.zone)
    text = f"{minute // 60:02d}:{minute % 60:02d}"
    return text if left_s < DAY_MINUTES * 60 else f"{text}, {left_s / 86_400:.0f} days"
