"""Our link over emulated slow, lossy, cut IP links: seconds, utilisation, what was sent twice.

Needs root, /dev/net/tun and the link emulator (FELDSHER_LINKEM, or ../shared/tools/linkem.py beside the repository).
`python benchmarks/links.py [NAME...] [--seeds N]` prints a row for each run; with `--peers` the same payloads go over
the same links by what others would use (`benchmarks/peers.py`) as well, and a table of medians is printed, and with
`--write` written into `benchmarks/README.md`. Utilisation = payload bits / (seconds that the link was up * its rate),
payload counted as given, ours always encrypted. Runs beside each other (`--parallel`) have links of their own.
"""

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LINKEM = Path(os.environ.get("FELDSHER_LINKEM", ROOT.parent / "shared" / "tools" / "linkem.py"))
PORT = 7000
OURS = "feldsher"
Row = dict[str, object]


@dataclass(frozen=True)
class Case:
    """One row: a profile of the emulator, what is sent, and how."""

    name: str
    options: tuple[str, ...]
    sizes: tuple[int, ...]
    scheme: str = "udp"
    compress: bool = False
    text: bool = False
    timeout_s: float = 900.0
    peer_timeout_s: float = 600.0


CASES = (
    Case("csd9600-128K", ("--profile", "csd9600"), (131072,)),
    Case("gprs-1M", ("--profile", "gprs"), (1 << 20,)),
    Case("iridium-32K", ("--profile", "iridium2400"), (32768,)),
    Case("g3-1M", ("--profile", "g3"), (1 << 20,)),
    Case("flaky-gprs-300K", ("--profile", "flaky-gprs"), (300000,)),
    Case("flaky-gprs-1M", ("--profile", "flaky-gprs"), (1 << 20,)),
    Case("flaky-g3-5M", ("--profile", "flaky-g3"), (5 << 20,)),
    Case("flaky-iridium-16K", ("--profile", "flaky-iridium2400"), (16384,), compress=True, text=True),
    Case("cut-gprs-1M", ("--profile", "cut-gprs"), (1 << 20,)),
    Case("gprs-2K", ("--profile", "gprs"), (2048,), compress=True, text=True),
    Case("gprs-50x2K", ("--profile", "gprs"), (2048,) * 50, compress=True, text=True),
    Case("gprs-10%-300K", ("--profile", "gprs", "--loss", "10"), (300000,)),
    Case("gprs-20%-300K", ("--profile", "gprs", "--loss", "20"), (300000,)),
    Case("clean-300K", ("--profile", "gprs", "--loss", "0"), (300000,)),
    Case("csd9600-128K-tcp", ("--profile", "csd9600"), (131072,), "tcp"),
    Case("gprs-300K-tcp", ("--profile", "gprs"), (300000,), "tcp"),
    Case("iridium-32K-tcp", ("--profile", "iridium2400"), (32768,), "tcp"),
    Case("g3-1M-tcp", ("--profile", "g3"), (1 << 20,), "tcp"),
    Case("flaky-gprs-300K-tcp", ("--profile", "flaky-gprs"), (300000,), "tcp"),
    Case("cut-gprs-300K-tcp", ("--profile", "cut-gprs"), (300000,), "tcp"),
)
QUICK = ("g3-1M", "gprs-2K", "gprs-50x2K", "iridium-32K", "flaky-gprs-300K")


def record(rng: random.Random, size: int) -> bytes:
    """Return a record of laboratory results, about as repetitive as real ones (6:1 by zlib)."""
    names = ("WBC", "RBC", "HGB", "HCT", "MCV", "MCH", "MCHC", "PLT", "LYM%", "MXD%", "NEUT%", "RDW-SD", "PDW", "MPV")
    rows = [f"H|\\^&|||XP-300^00-16^^^^{rng.randrange(10**8):08d}||||||||E1394-97"]
    while sum(map(len, rows)) < size:
        name, value = rng.choice(names), f"{rng.uniform(0.1, 400):.1f}"
        rows.append(
            f"R|{len(rows)}|^^^^{name}^1|{value}|10*3/uL||N||||               ||20261103{rng.randrange(240000):06d}"
        )
    return "\r".join(rows).encode()[:size]


_TAGS = itertools.count()


def measure(case: Case, seed: int, who: str = OURS) -> Row:
    """Run one case once."""
    with tempfile.TemporaryDirectory() as folder:
        rng, at = random.Random(seed), Path(folder)
        at.chmod(0o755)
        names = [f"f{number:02d}" for number in range(len(case.sizes))]
        (at / "out").mkdir()
        for name, size in zip(names, case.sizes, strict=True):
            (at / "out" / name).write_bytes(record(rng, size) if case.text else rng.randbytes(size))
        stats, tag = at / "stats.json", f"{os.getpid() % 1000:03d}x{next(_TAGS) % 1000}"
        if who == OURS:
            inside = ["--inside", folder, case.scheme, "" if case.compress else "--no-compress"]
        else:
            inside = ["--inside-peer", folder, who, str(case.peer_timeout_s)]
        options = ["--seed", str(seed), "--tag", tag, "--stats", str(stats)]
        command = [sys.executable, str(LINKEM), *case.options, *options, "--", sys.executable, __file__]
        done = subprocess.run(
            [*command, *inside, *names], capture_output=True, text=True, timeout=case.timeout_s, check=False
        )
        if done.returncode:
            return {"case": case.name, "who": who, "seed": seed, "error": done.stderr.strip()[-300:]}
        report, link = json.loads(done.stdout), json.loads(stats.read_text())
        same = all((at / "in" / name).read_bytes() == (at / "out" / name).read_bytes() for name in names)
    return {"case": case.name, "who": who, "seed": seed, **_figures(case, report, link), "identical": same}


def _figures(case: Case, report: Row, link: dict[str, Any]) -> Row:
    seconds, shape = float(str(report["seconds"])), link["link"]
    up_s = seconds
    if shape["up"]:
        rounds, phase = divmod(seconds, shape["up"] + shape["down"])
        up_s = rounds * shape["up"] + min(phase, shape["up"])
    bits = 8 * sum(case.sizes)
    wire = sum(way["bytes"]["offered"] for way in (link["kit_to_srv"], link["srv_to_kit"]))
    figures: Row = {
        "seconds": round(seconds, 2),
        "up_s": round(up_s, 1),
        "utilisation": round(bits / (up_s * shape["rate"]), 3),
        "overhead_percent": round(100 * (wire - bits / 8) / (bits / 8), 1),
        "queue_drops": link["kit_to_srv"]["packets"]["queue_drop"],
    }
    if "handshakes" in report:
        figures |= {"resent": report["segments_resent"], "twice": report["segments_sent_twice"]}
        figures |= {"handshakes": report["handshakes"]}
    return figures


def can_run() -> bool:
    """Tell whether the emulator can be used here, and say on stderr when it cannot."""
    if LINKEM.exists() and os.geteuid() == 0 and Path("/dev/net/tun").exists():
        return True
    print(f"links: skipped; they need root, /dev/net/tun and {LINKEM} (or FELDSHER_LINKEM)", file=sys.stderr)
    return False


def run(names: Sequence[str] = QUICK, seeds: int = 1) -> list[Row]:
    """Return a row for each case and seed."""
    if not can_run():
        return []
    return [measure(case, seed) for case in CASES if case.name in names for seed in range(1, seeds + 1)]


def rows(names: Sequence[str], seeds: int, whos: Sequence[str], parallel: int) -> Iterator[Row]:
    """Give a row for each run as it ends, `parallel` of them at a time."""
    found = [case for case in CASES if case.name in names]
    jobs = [(case, seed, who) for case in found for seed in range(1, seeds + 1) for who in whos]
    jobs = [(case, seed, who) for case, seed, who in jobs if who == OURS or case.scheme == "udp"]
    with ThreadPoolExecutor(parallel) as pool:
        yield from pool.map(lambda job: measure(*job), jobs)


def compared(done: Iterable[Row]) -> list[Row]:
    """Return a row for each case: the median seconds of each program, and how many of its runs did not end in time."""
    times: dict[str, dict[str, list[float]]] = {}
    for row in done:
        of_who = times.setdefault(str(row["case"]), {}).setdefault(str(row["who"]), [])
        of_who.append(float(str(row.get("seconds", "inf"))))
    return [{"link": name, **{who: _median(all_s) for who, all_s in by.items()}} for name, by in times.items()]


def _median(seconds: list[float]) -> str:
    failed = sum(1 for one in seconds if one == float("inf"))
    middle = statistics.median_low(seconds)
    text = "not done" if middle == float("inf") else f"{middle:.1f} s"
    return f"{text} ({failed} of {len(seconds)} not done)" if failed and middle != float("inf") else text


def inside_peer(folder: str, who: str, timeout_s: str, names: list[str]) -> int:
    """Run under the emulator: send by what others use; print the seconds."""
    sys.path.insert(0, str(ROOT))
    from benchmarks import peers

    seconds = peers.race(peers.find(who), Path(folder), names, float(timeout_s))
    if seconds is None:
        print(f"not done in {timeout_s} s", file=sys.stderr)
        return 75
    print(json.dumps({"seconds": seconds}))
    return 0


def inside(folder: str, scheme: str, option: str, names: list[str]) -> int:
    """Run under the emulator: a server in one namespace, `link send` in the other; print its report."""
    feldsher = [sys.executable, "-m", "feldsher", "link"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([*feldsher, "keys", "keys"], check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    there, here = (["ip", "netns", "exec", os.environ[name], *feldsher] for name in ("SRV_NS", "KIT_NS"))
    serve = [*there, "serve", "--listen", f"{scheme}://0.0.0.0:{PORT}", "--into", "in", "--keys", "keys"]
    with open(f"{folder}/serve.log", "w") as log:
        server = subprocess.Popen(serve, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        while "listening" not in Path(f"{folder}/serve.log").read_text():
            time.sleep(0.05)
        send = [
            *here,
            "send",
            *(f"out/{name}" for name in names),
            "--to",
            f"{scheme}://{os.environ['SRV_IP']}:{PORT}",
            "--keys",
            "keys",
            "--json",
        ]
        code = subprocess.run(
            [*send, *([option] if option else [])], cwd=folder, env=environment, check=False
        ).returncode
        server.terminate()
        server.wait()
    return code


def main() -> int:
    """Print the rows, and the table when peers take part."""
    if sys.argv[1:2] == ["--inside"]:
        return inside(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
    if sys.argv[1:2] == ["--inside-peer"]:
        return inside_peer(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[case.name for case in CASES])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=1, help="runs side by side; on slow links they hardly meet")
    parser.add_argument("--peers", action="store_true", help="the programs of others too")
    parser.add_argument("--write", action="store_true", help="with --peers: write the table into benchmarks/README.md")
    parser.add_argument("--who", action="append", help="only this program; several may be given")
    parser.add_argument("--rows", type=Path, help="keep the rows in this file, and take in those that are there")
    args = parser.parse_args()
    if not can_run():
        return 1
    sys.path.insert(0, str(ROOT))
    from benchmarks import peers
    from benchmarks.__main__ import PAGE, machine, placed, table

    whos = args.who or [OURS] + [peer.name for peer in peers.PEERS if args.peers and peer.is_here]
    done: list[Row] = []
    if args.rows and args.rows.exists():
        done = [json.loads(line) for line in args.rows.read_text().splitlines()]
    for row in rows(args.names, args.seeds, whos, args.parallel):
        print(json.dumps(row), flush=True)
        done.append(row)
        if args.rows:
            with args.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
    if args.peers:
        print(body := table(compared(done)))
        if args.write:
            how = f"`python benchmarks/links.py --peers --seeds {args.seeds} --parallel {args.parallel}`"
            summary = "Ours beside what others would use: median seconds, same payloads, same links."
            PAGE.write_text(placed(PAGE.read_text(), "peers", summary, f"{body}\n\n{how} on: {machine()}."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
