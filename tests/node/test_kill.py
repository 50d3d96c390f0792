"""Real processes on a real disk: killed with SIGKILL in the middle of anything, or told that fsync failed."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from node.disk import RealDisk
from tests.node.stores import Kit, Ledger, check, payload_of, payloads_of, read_all
from tests.node.writer import ledger_from
from wire.objects import STUDY

ROOT = Path(__file__).resolve().parent.parent.parent
ROUNDS = int(os.environ.get("FELDSHER_KILLS", "100"))


@pytest.mark.slow
def test_kill_9_a_hundred_times_and_nothing_acknowledged_is_lost(tmp_path):
    chance = random.Random(1)
    lines = []
    command = [sys.executable, "-m", "tests.node.writer", "host", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as host:
        for _ in range(ROUNDS):
            host.stdin.write("go\n")
            host.stdin.flush()
            lines += one_round(host, chance.randrange(1, 25))
        host.stdin.close()
    ledger = ledger_from(lines)
    assert len(ledger.acked) > 3 * ROUNDS
    with RealDisk(tmp_path) as disk:
        check(Kit(disk, 100_000), ledger)


def one_round(host, wanted):
    """Kill the child of this round after `wanted` lines, or after it was told a little more; return its lines."""
    lines, pid = [], None
    while not lines or lines[-1] != "dead\n":
        lines.append(host.stdout.readline())
        if lines[-1].startswith("pid"):
            pid = int(lines[-1].split()[1])
        if pid and len(lines) >= wanted:
            os.kill(pid, signal.SIGKILL)
            pid = None
    return lines


def strace_works():
    if not shutil.which("strace"):
        return False
    return (
        subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.slow
@pytest.mark.parametrize("when", [1, 4, 8, 9, 10, 11, 12, 13, 16, 20])
def test_the_kernel_says_that_fsync_failed(tmp_path, when):
    if not strace_works():
        pytest.skip("FSYNC FAULT TEST NOT RUN: strace is missing or may not trace")
    (tmp_path / "data").mkdir()
    inject = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "--seccomp-bpf", "-e", "trace=fsync"]
    inject += ["-e", f"inject=fsync:error=EIO:when={when}"]
    command = [*inject, sys.executable, "-m", "tests.node.writer", "once", str(tmp_path / "data")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 74, done.stderr
    assert "errno 5" in done.stderr
    trace = (tmp_path / "trace").read_text()
    assert trace.count("fsync(") == when, "it went on after a failed fsync"
    acked = ledger_from(done.stdout.splitlines()).acked
    tried = {payload_of(study, entry, 1500 * entry): b"" for study in range(2) for entry in range(3)}
    with RealDisk(tmp_path / "data") as disk:
        kit = Kit(disk, 1)
        found = {payload: study_id for study_id, study in read_all(kit.spool, STUDY) for payload in payloads_of(study)}
        assert acked.items() <= found.items()
        assert found.keys() <= tried.keys()
        check(kit, Ledger(tried={p: found.get(p, b"") for p in tried}, acked=acked))
