"""Devices that say nothing until they are asked, as processes on a pty: simulator and `kit capture` in real time."""

import json

import pytest

from tests.feldsher.test_devices_cli import data, ended, feldsher

__all__ = ["data"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "manner", "options", "name"),
    [
        ("mtsics", ("--count", 1), ("--option", "of=body"), "body weight"),
        ("contec", ("--count", 1, "--finger", 4), ("--option", "stored=once"), "SpO2"),
    ],
)
def test_a_device_that_is_asked_is_captured(data, tmp_path, device, manner, options, name):
    link = tmp_path / device
    simulator = feldsher("simulate", "device", device, "--pty-link", link, *manner)
    assert simulator.stdout.readline().strip() == str(link)
    kit = feldsher(
        *("kit", "capture", "--data", data, "--port", link, "--driver", device, "--count", 1, "--json", *options)
    )
    code, out, err = ended(kit)
    simulator.terminate()
    simulator.communicate()
    assert code == 0, err
    (summary,) = (json.loads(line) for line in out.splitlines())
    assert summary["headline"][0][0] == name
    assert not summary["partial"]
