"""Runs every module here that has `run()`, and writes its rows into `benchmarks/README.md` between its markers.

`python -m benchmarks` runs all, `python -m benchmarks tags journal` those. A module's `run()` returns rows, each a dict
of column → value; the columns of its table are those of its rows in the order in which they first appear. A module
that returns no rows (it was skipped, and said so) keeps its table as it is, with the machine it was measured on.
"""

import argparse
import importlib
import inspect
import os
import pkgutil
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import benchmarks

PAGE = Path(__file__).with_name("README.md")
CPU_INFO = Path("/proc/cpuinfo")
OWN_NAMES = {"__main__"}


def machine() -> str:
    """Return CPU, cores, system and Python in one line."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    cpu = models[-1] if models else platform.processor() or platform.machine()
    cores = os.cpu_count() or 1
    return f"{cpu}, {cores} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Return the rows as a Markdown table."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[_shown(row.get(name, "")) for name in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value).replace("|", "\\|")
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def placed(page: str, name: str, summary: str, body: str) -> str:
    """Return the page with `body` between the markers of `name`; they are added at its end if missing."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if begin not in page:
        page = f"{page.rstrip()}\n\n## {name}\n{summary}\n\n{begin}\n{end}\n"
    head, _, rest = page.partition(begin)
    return f"{head}{begin}\n{body}\n{end}{rest.partition(end)[2]}"


def names() -> list[str]:
    """Return the modules that have `run()`."""
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name not in OWN_NAMES]
    return [name for name in found if hasattr(importlib.import_module(f"benchmarks.{name}"), "run")]


def main() -> int:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="the modules to run (default: all)")
    for name in parser.parse_args().names or names():
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"benchmarks: {name} …", file=sys.stderr, flush=True)
        started = time.perf_counter()
        if rows := module.run():
            seconds = time.perf_counter() - started
            body = f"{table(rows)}\n\n`python -m benchmarks {name}`, {seconds:.0f} s on: {machine()}."
            summary = " ".join((inspect.getdoc(module) or "").partition("\n\n")[0].split())
            PAGE.write_text(placed(PAGE.read_text(), name, summary, body))
            print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
