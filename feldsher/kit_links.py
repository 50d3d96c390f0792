"""`feldsher kit links`: what each way of the kit does and costs, what waits for what, and when it will be through."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from feldsher import watching
from wire.errors import UsageError

LISTED_COUNT: Final = 15


def configure_links(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `kit links`."""
    links = subparsers.add_parser(
        "links",
        help="what each link does and costs, and what waits for what",
        epilog="example: feldsher kit links --data D --watch",
    )
    links.add_argument("--data", type=Path, required=True, help="the kit's data folder")
    watching.add_options(links)
    links.set_defaults(run=_links)


def _links(args: argparse.Namespace) -> int:
    def read() -> dict[str, Any]:
        status = watching.read(args.data, "kit")
        links = status.get("links")
        if links is None:
            raise UsageError(f"{args.data}: this kit has no [[way]] in its kit.toml; `kit status` shows its one link")
        return {"name": status["name"], "age_s": status.get("age_s", 0.0), **links}

    return watching.show(args, read, lines)


def lines(links: dict[str, Any]) -> list[str]:
    """Return it for people."""
    return [
        *watching.silence(links, "the kit"),
        *(line for way in links["ways"] for line in _way_lines(way, links["currency"])),
        f"all links today: {spent(links['budget'], links['currency'])}",
        *_waiting_lines(links),
    ]


def brief(links: dict[str, Any]) -> str:
    """Return one line for `kit status`."""
    used = next((way["name"] for way in links["ways"] if way["state"] in {"in use", "being tried"}), "none in use")
    spent_today = spent(links["budget"], links["currency"])
    held = f", {links['held_back']} held back (`kit links`)" if links["held_back"] else ""
    return f"links: {used}{held}; today {spent_today}"


def spent(today: dict[str, Any], currency: str) -> str:
    """Return what was spent against the budget: only what is counted at all."""
    parts = [_part(watching.size(today["bytes"]), today["bytes_max"], watching.size)]
    if today["money"] or today["money_max"] is not None:
        parts.append(
            _part(f"{today['money']:.2f} {currency}", today["money_max"], lambda most: f"{most:.2f} {currency}")
        )
    if today["joules"] or today["joules_max"] is not None:
        parts.append(_part(_energy(today["joules"]), today["joules_max"], _energy))
    return ", ".join(parts)


def _part(text: str, most: float | None, say: Callable[[float], str]) -> str:
    return text if most is None else f"{text} of {say(most)}"


def _energy(joules: float) -> str:
    return f"{joules:.0f} J" if joules < 10_000 else f"{joules / 1000:.1f} kJ"


def _way_lines(way: dict[str, Any], currency: str) -> Iterator[str]:
    state = way["state"] if not way["barred"] else f"{way['state']}: {way['barred']}"
    until = f", until {way['until']}" if way["until"] else ""
    yield f"{way['name']:<10} {state}{until}"
    facts = [
        " ".join(filter(None, (way["model"], way["operator"], "roaming" if way["is_roaming"] else ""))),
        f"{way['signal_dbm']} dBm" if way["signal_dbm"] is not None else "",
        f"{way['rate_bps'] / 1000:.1f} kbit/s" if way["rate_bps"] else "",
        f"RTT {way['rtt_s'] * 1000:.0f} ms" if way["rtt_s"] is not None else "",
        f"{way['frames_lost']} frames lost" if way["frames_lost"] else "",
        way["does"],
    ]
    if any(facts):
        yield " " * 11 + ", ".join(filter(None, facts))
    yield " " * 11 + "today " + spent(way["today"], currency)
    if way["trouble"] and way["trouble"] != way["barred"]:
        yield " " * 11 + f"trouble: {way['trouble']}"


def _waiting_lines(links: dict[str, Any]) -> Iterator[str]:
    waiting = links["waiting"]
    if not waiting:
        yield "nothing waits"
        return
    yield f"{links['waiting_count']} objects wait; {_outlook(links)}"
    for one in waiting[:LISTED_COUNT]:
        eta = f"; through in {watching.span(one['eta_s'])}" if one["eta_s"] is not None else ""
        yield (
            f"  {one['priority']} {one['kind']:<8} {one['object_id'][:8]} {watching.size(one['size']):>10}  "
            f"{one['says']}{eta}"
        )
    if len(waiting) > LISTED_COUNT:
        yield f"  … and {links['waiting_count'] - LISTED_COUNT} more"


def _outlook(links: dict[str, Any]) -> str:
    """Say when all of it will be through, as far as that is known."""
    if links["eta_s"] is not None:
        return f"all through in {watching.span(links['eta_s'])} at the present rates"
    if links.get("in_use"):
        return "when all will be through is not known"
    tried = ", ".join(links.get("being_tried", ()))
    return f"nothing goes yet: {tried} is being tried" if tried else "nothing goes: no way is up"
