"""`python -m tests.sim --seeds 1000`: many seeds of the simulated world; each that fails is named with its reason.

`--world journey` (as it is left out): vans with every kind of way. `--world plain`: each kit on one plain link.
"""

import argparse
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.sim.journey import Journey
from tests.sim.scenario import Scenario

WORLDS = {"journey": Journey, "plain": Scenario}
COUNTED = {
    "studies": "studies",
    "acknowledged_frames": "acknowledged frames",
    "imported": "imports",
    "crashes": "power cuts",
    "disk_failures": "disk failures",
    "cuts": "link cuts",
    "modem_boots": "starts of modems",
    "sessions": "Iridium sessions",
    "trips": "trips of sticks",
    "mishaps": "sticks pulled, lost or copied",
}


def run_seed(task):
    """Run one seed; return (seed, outcome, failure)."""
    world, seed = task
    try:
        return seed, WORLDS[world](seed).run(), ""
    except BaseException:  # noqa: BLE001  a worker reports whatever happened
        return seed, None, traceback.format_exc()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--world", choices=sorted(WORLDS), default="journey")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--log", action="store_true", help="print what happened in each run")
    args = parser.parse_args()
    begin, failed, done = time.monotonic(), [], []
    tasks = [(args.world, seed) for seed in range(args.first, args.first + args.seeds)]
    with ProcessPoolExecutor(args.workers) as pool:
        for seed, outcome, failure in pool.map(run_seed, tasks):
            if failure:
                failed.append(seed)
                print(f"seed {seed} FAILED\n{failure}", flush=True)
            else:
                done.append(outcome)
            if args.log and outcome:
                print("\n".join(outcome.log))
    counts = ((text, sum(getattr(outcome, name) for outcome in done)) for name, text in COUNTED.items())
    print(
        f"{len(done)} seeds passed, {len(failed)} failed {failed or ''}; "
        + ", ".join(f"{count} {text}" for text, count in counts if count)
        + f", {sum(outcome.simulated_s for outcome in done) / 3600:.0f} simulated hours "
        f"in {time.monotonic() - begin:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
