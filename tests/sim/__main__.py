"""`python -m tests.sim --seeds 1000`: many seeds of the simulated world; each that fails is named with its reason."""

import argparse
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.sim.scenario import Scenario


def run_seed(seed):
    """Run one seed; return (seed, outcome, failure)."""
    try:
        return seed, Scenario(seed).run(), ""
    except BaseException:  # noqa: BLE001  a worker reports whatever happened
        return seed, None, traceback.format_exc()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--log", action="store_true", help="print what happened in each run")
    args = parser.parse_args()
    begin, failed, done = time.monotonic(), [], []
    with ProcessPoolExecutor(args.workers) as pool:
        for seed, outcome, failure in pool.map(run_seed, range(args.first, args.first + args.seeds)):
            if failure:
                failed.append(seed)
                print(f"seed {seed} FAILED\n{failure}", flush=True)
            else:
                done.append(outcome)
            if args.log and outcome:
                print("\n".join(outcome.log))
    total = {
        name: sum(getattr(outcome, name) for outcome in done)
        for name in ("studies", "acknowledged_frames", "crashes", "disk_failures", "cuts")
    }
    print(
        f"{len(done)} seeds passed, {len(failed)} failed {failed or ''}; {total['studies']} studies, "
        f"{total['acknowledged_frames']} acknowledged frames, {total['crashes']} power cuts, "
        f"{total['disk_failures']} disk failures, {total['cuts']} link cuts, "
        f"{sum(outcome.simulated_s for outcome in done) / 3600:.0f} simulated hours in {time.monotonic() - begin:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
