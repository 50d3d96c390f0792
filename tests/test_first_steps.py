"""`docs/first-steps.md` as a technician types it: every command is run, in one shell, and the outcome is as shown."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "first-steps.md"
PORTS = {"7700": socket.SOCK_DGRAM, "7701": socket.SOCK_STREAM, "8080": socket.SOCK_STREAM}


def script() -> str:
    """Return what the page has the reader type: lines after `$ `, and here-documents."""
    typed: list[str] = []
    document = ""
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for line in block.splitlines():
            if document:
                typed.append(line)
                document = "" if line == document else document
            elif line.startswith("$ "):
                typed += ["echo '#'", line[2:]]
                document = "".join(re.findall(r"<<(\w+)$", line))
    return "\n".join(typed)


def free_port(kind: socket.SocketKind) -> str:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def typed(tmp_path):
    """The page's commands, on ports that are free here, with our interpreter's folder instead of the activation."""
    text = script().replace(". .venv/bin/activate", f'PATH="{Path(sys.executable).parent}:$PATH"')
    for port, kind in PORTS.items():
        text = text.replace(f":{port}", f":{free_port(kind)}")
    return f"set -m; trap 'kill $(jobs -p) 2>/dev/null' EXIT\n{text}\n"


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_the_first_steps_lead_to_a_study_at_the_centre(typed, tmp_path):
    done = subprocess.run(
        ["/bin/bash", "-c", typed],
        cwd=tmp_path,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    shown = done.stdout
    for wanted in (
        "this is gateway north now",
        "this is kit van-1 now",
        "ok      port analyser",
        "all that was captured has arrived",
        "state=received  kit=van-1  form=laboratory  patient=24310077",
        "results.csv",
        "no link; studies wait safely in the kit",
        "revoked=True",
        "the centre refuses this kit",
    ):
        assert wanted in shown, shown + done.stderr
    assert "FAILED" not in shown
    assert "conflict" not in shown
    assert list(tmp_path.iterdir()) == []
