"""What the configuration says of a way, as policy and budget use it: defaults by scheme, prices in whole units.

Pure; `edge/config.py` has checked what comes in.
"""

from dataclasses import dataclass
from typing import Final

from edge import config
from edge.day import parse_quiet
from edge.tariff import FREE, MICROS, UNBOUNDED, Amount, Tariff
from node.url import parse_url

MESSAGE_SCHEMES: Final = frozenset({"sbd"})
"""Each frame is billed; for what is small and cannot wait."""
CARRIED_SCHEMES: Final = frozenset({"dir"})
DELAY_S: Final = {"sbd": 60.0, "dir": 86_400.0}
"""How long what was given to such a way takes to arrive, when the configuration does not say."""
MESSAGE_OBJECT_SIZE_MAX: Final = 2048
"""Over messages nothing larger goes unless the configuration says so: 41 units of 50 bytes."""
TYPICAL_SIZE: Final = 10_000
"""Ways of one rank are compared by what an object of this size costs."""


@dataclass(frozen=True)
class Terms:
    """One way's fixed terms. `place`: where it stands in the file."""

    name: str
    place: int = 0
    rank: int = 5
    carries: str = "all"
    object_size_max: int = 0
    priority: tuple[int, int] = (1, 9)
    quiet: tuple[tuple[int, int], ...] = ()
    delay_s: float = 0.0
    keep: bool = True
    is_message: bool = False
    is_carried: bool = False
    gateway: str = ""
    tariff: Tariff = FREE
    limit: Amount = UNBOUNDED

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Sorts ways: by rank, by money for a typical object, by energy, by place."""
        return self.rank, self.tariff.price(TYPICAL_SIZE), self.tariff.power_mw, self.place

    @property
    def level(self) -> tuple[int, int]:
        """Ways of one level are as good as each other: no study waits for one when it may have the other."""
        return self.rank, self.tariff.price(TYPICAL_SIZE)


def terms_of(way: config.Way, place: int = 0) -> Terms:
    """Return the terms of the way at `place` of the configuration."""
    scheme = parse_url(way.url).scheme if way.url else "udp"
    is_message = scheme in MESSAGE_SCHEMES
    tariff = tariff_of(way)
    size_max = MESSAGE_OBJECT_SIZE_MAX if is_message else 0
    return Terms(
        name=way.name,
        place=place,
        rank=way.rank,
        carries=way.carries or ("summaries" if is_message else "all"),
        object_size_max=size_max if way.object_size_max is None else way.object_size_max,
        priority=way.priority,
        quiet=tuple(map(parse_quiet, way.quiet)),
        delay_s=DELAY_S.get(scheme, 0.0) if way.delay_min is None else way.delay_min * 60,
        keep=tariff.is_free and not is_message if way.keep is None else way.keep,
        is_message=is_message,
        is_carried=scheme in CARRIED_SCHEMES,
        gateway=way.gateway,
        tariff=tariff,
        limit=limit_of(way.budget),
    )


def tariff_of(way: config.Way) -> Tariff:
    """Return the prices to the nearest whole unit: a millionth of the currency, a milliwatt, a millijoule."""
    cost, energy = way.cost, way.energy
    return Tariff(
        micros_per_mb=round(cost.per_mb * MICROS),
        micros_per_message=round(cost.per_message * MICROS),
        micros_per_minute=round(cost.per_minute * MICROS),
        micros_per_call=round(cost.per_call * MICROS),
        power_mw=round(energy.watts * 1000),
        start_mj=round(energy.joules_per_start * 1000),
    )


def limit_of(budget: config.DayBudget) -> Amount:
    """Return a day's budget in whole units."""
    bound = UNBOUNDED.size
    return Amount(
        bound if budget.bytes is None else budget.bytes,
        bound if budget.money is None else int(budget.money * MICROS),
        bound if budget.joules is None else int(budget.joules * 1000),
    )
