"""Replays everything through ptys into the real kit, cut at every byte: `python -m tests.replay [NAME...]`.

`--workers 3` processes at once (left out: one more than there are cores, for they wait, too); `--kind divided` only
this; `--every 10` only each tenth batch; `--digests` notes what the drivers make of the samples now.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.replay import corpus, runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="recordings, or samples by their path (default: all)")
    parser.add_argument("--workers", type=int, default=1 + (os.cpu_count() or 1))
    parser.add_argument("--kind", choices=sorted(runs.KINDS), action="append")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th batch")
    parser.add_argument("--digests", action="store_true", help="write samples.json anew and end")
    args = parser.parse_args()
    if args.digests:
        corpus.write_digests()
        return 0
    names = args.names or corpus.every()
    if unknown := sorted({*names} - {*corpus.every()}):
        parser.error(f"no recording and no sample: {', '.join(unknown)}")
    if not corpus.samples():
        print(f"SAMPLES ABSENT: {corpus.SAMPLES}; set FELDSHER_SAMPLES to the folder of device samples")
    tasks = [
        (name, kind, cuts) for name in names for kind, cuts in runs.tasks(name) if not args.kind or kind in args.kind
    ][:: args.every]
    began, seconds, failed = time.monotonic(), Counter(), 0
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.workers, mp_context=spawn) as pool:
        for (name, kind, _), wrong, spent in pool.map(runs.work, tasks, chunksize=4):
            seconds[kind, name] += spent
            failed += len(wrong)
            for text in wrong[:2]:
                print(text[:600], flush=True)
    wall_s = time.monotonic() - began
    for kind in runs.KINDS:
        done = sum(len(cuts) for _, one, cuts in tasks if one == kind)
        print(f"{kind:<10}{done:>7} runs {sum(spent for (one, _), spent in seconds.items() if one == kind):7.1f} s")
    for (kind, name), spent in seconds.most_common(12):
        print(f"    {spent:6.1f} s  {kind:<10}{name}")
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    runs_count = sum(len(cuts) for _, _, cuts in tasks)
    print(f"{len(names)} recordings, {runs_count} runs, {failed} wrong: {wall_s:.0f} s with {args.workers} workers, "
          f"{cpu.ru_utime + cpu.ru_stime:.0f} s of CPU")  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
