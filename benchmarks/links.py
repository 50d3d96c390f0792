"""Our link over emulated slow, lossy, cut IP links: seconds, utilisation, what was sent twice.

Needs root, /dev/net/tun and the link emulator (FELDSHER_LINKEM, or ../shared/tools/linkem.py beside the repository).
`python benchmarks/links.py [NAME...] [--seeds N]`; `run()` gives the rows. Utilisation = payload bits / (seconds that
the link was up * its rate), payload counted as given, everything encrypted.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINKEM = Path(os.environ.get("FELDSHER_LINKEM", ROOT.parent / "shared" / "tools" / "linkem.py"))
PORT = 7000


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


CASES = (
    Case("csd9600-128K", ("--profile", "csd9600"), (131072,)),
    Case("gprs-1M", ("--profile", "gprs"), (1 << 20,)),
    Case("iridium-32K", ("--profile", "iridium2400"), (32768,)),
    Case("g3-1M", ("--profile", "g3"), (1 << 20,)),
    Case("flaky-gprs-300K", ("--profile", "flaky-gprs"), (300000,)),
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


def measure(case: Case, seed: int) -> dict[str, object]:
    """Run one case once."""
    with tempfile.TemporaryDirectory() as folder:
        rng, at = random.Random(seed), Path(folder)
        names = [f"f{number:02d}" for number in range(len(case.sizes))]
        for name, size in zip(names, case.sizes, strict=True):
            (at / name).write_bytes(record(rng, size) if case.text else rng.randbytes(size))
        stats, tag = at / "stats.json", f"b{os.getpid() % 10000}"
        inside = [sys.executable, __file__, "--inside", folder, case.scheme, "" if case.compress else "--no-compress"]
        command = [sys.executable, str(LINKEM), *case.options, "--seed", str(seed), "--tag", tag, "--stats", str(stats)]
        done = subprocess.run(
            [*command, "--", *inside, *names], capture_output=True, text=True, timeout=case.timeout_s, check=False
        )
        if done.returncode:
            return {"case": case.name, "seed": seed, "error": done.stderr.strip()[-300:]}
        report, link = json.loads(done.stdout), json.loads(stats.read_text())
        same = all((at / "in" / name).read_bytes() == (at / name).read_bytes() for name in names)
    up_s = report["seconds"] * link["up_s"] / max(link["since_first_packet_s"], 1e-9)
    if link["link"]["up"]:
        up, down = link["link"]["up"], link["link"]["down"]
        rounds, phase = divmod(report["seconds"], up + down)
        up_s = rounds * up + min(phase, up)
    bits = 8 * sum(case.sizes)
    wire = sum(way["bytes"]["offered"] for way in (link["kit_to_srv"], link["srv_to_kit"]))
    return {
        "case": case.name,
        "seed": seed,
        "seconds": report["seconds"],
        "up_s": round(up_s, 1),
        "utilisation": round(bits / (up_s * link["link"]["rate"]), 3),
        "resent": report["segments_resent"],
        "twice": report["segments_sent_twice"],
        "overhead_percent": round(100 * (wire - bits / 8) / (bits / 8), 1),
        "queue_drops": link["kit_to_srv"]["packets"]["queue_drop"],
        "handshakes": report["handshakes"],
        "identical": same,
    }


def run(names: tuple[str, ...] = QUICK, seeds: int = 1) -> list[dict[str, object]]:
    """Return a row for each case and seed."""
    if not LINKEM.exists() or os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        print(f"links: skipped; they need root, /dev/net/tun and {LINKEM} (or FELDSHER_LINKEM)", file=sys.stderr)
        return []
    return [measure(case, seed) for case in CASES if case.name in names for seed in range(1, seeds + 1)]


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
        send = [*here, "send", *names, "--to", f"{scheme}://{os.environ['SRV_IP']}:{PORT}", "--keys", "keys", "--json"]
        code = subprocess.run(
            [*send, *([option] if option else [])], cwd=folder, env=environment, check=False
        ).returncode
        server.terminate()
        server.wait()
    return code


def main() -> int:
    """Print the table."""
    if sys.argv[1:2] == ["--inside"]:
        return inside(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[case.name for case in CASES])
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    for name in args.names:
        for row in run((name,), args.seeds):
            print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
