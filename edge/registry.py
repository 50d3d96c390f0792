"""Finds drivers by name: our own, one module each, and those that other packages bring.

A third party's driver is an installed package with an entry point of group `feldsher.drivers` that names the
module. Our own come first: a package cannot quietly replace one. Nothing is imported before it is asked for.
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final, cast

from edge.driver import Driver, DriverModule, Facts, Option
from edge.signs import UNKNOWN, Signs
from wire.errors import ConfigError

GROUP: Final = "feldsher.drivers"
BUILT_IN: Final[Mapping[str, str]] = {
    "abacus": "edge.drivers.abacus",
    "andscale": "edge.drivers.andscale",
    "astm": "edge.drivers.astm",
    "barcode": "edge.drivers.barcode",
    "bc2800": "edge.drivers.bc2800",
    "contec": "edge.drivers.contec",
    "gmc": "edge.drivers.gmc",
    "hbp9030": "edge.drivers.hbp9030",
    "hl7": "edge.drivers.hl7",
    "kx21": "edge.drivers.kx21",
    "lines": "edge.drivers.lines",
    "mtsics": "edge.drivers.mtsics",
    "nmea": "edge.drivers.nmea",
    "nonin": "edge.drivers.nonin",
    "poct1a": "edge.drivers.poct1a",
    "printer": "edge.drivers.printer",
    "radex": "edge.drivers.radex",
    "radpro": "edge.drivers.radpro",
    "suntech": "edge.drivers.suntech",
    "tanita": "edge.drivers.tanita",
    "tm2655": "edge.drivers.tm2655",
    "transfer": "edge.drivers.transfer",
    "vesmatic": "edge.drivers.vesmatic",
}

Options = dict[str, str | int | float | bool]


def names() -> list[str]:
    """Return the names of every driver that can be configured, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def find(name: str) -> DriverModule:
    """Return the module of the driver `name`. Raises ConfigError that lists what there is."""
    if name in BUILT_IN:
        return cast("DriverModule", import_module(BUILT_IN[name]))
    for point in entry_points(group=GROUP):
        if point.name == name:
            return _load(name, point.value)
    raise ConfigError(f"driver {name!r} is unknown; there are: {', '.join(names())}")


def create(name: str, options: Mapping[str, object] | None = None) -> Driver:
    """Return a new driver by name, its options checked by itself."""
    return find(name).create(options or {})


def signs(name: str) -> Signs:
    """Return by what the device of the driver `name` is known; a driver need not say, and a broken one says nothing."""
    try:
        found = getattr(find(name), "SIGNS", UNKNOWN)
    except Exception:  # noqa: BLE001  a package that nobody has configured stops no kit, whatever is wrong with it
        return UNKNOWN
    return found if isinstance(found, Signs) else UNKNOWN


def _load(name: str, module_name: str) -> DriverModule:
    try:
        module = import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"driver {name!r}: its module {module_name} cannot be imported: {error}") from error
    except Exception as error:  # whatever another package's module does, it is named and stops no other driver
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(f"driver {name!r}: its module {module_name} cannot be imported: {why}") from error
    for wanted in ("FACTS", "create"):
        if not hasattr(module, wanted):
            raise ConfigError(f"driver {name!r}: module {module_name} has no {wanted}")
    if not isinstance(module.FACTS, Facts) or not callable(module.create):
        raise ConfigError(
            f"driver {name!r}: module {module_name}: FACTS is an edge.driver.Facts, and create a function"
        )
    return cast("DriverModule", module)


def read_options(facts: Facts, given: Mapping[str, object]) -> Options:
    """Return the options of a driver, defaults filled in. Raises ConfigError that names the key and the reason."""
    known = {option.name: option for option in facts.options}
    for key in given:
        if key not in known:
            raise ConfigError(f"driver {facts.name!r}: option {key!r} is unknown; there are: {', '.join(known)}")
    return {name: _value(facts, option, given.get(name, option.default)) for name, option in known.items()}


def _value(facts: Facts, option: Option, value: object) -> str | int | float | bool:
    kind = type(option.default)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        have, want = f"{value!r} ({type(value).__name__})", kind.__name__
        raise ConfigError(f"driver {facts.name!r}: option {option.name!r} is {have}; it must be of type {want}")
    if option.choices and value not in option.choices:
        may_be = ", ".join(map(repr, option.choices))
        raise ConfigError(f"driver {facts.name!r}: option {option.name!r} is {value!r}; it may be {may_be}")
    return value
