"""`feldsher simulate device`: what a user expects of its options, as a process on a pty."""

import time

from tests.feldsher.test_devices_cli import PATIENCE_S, feldsher


def test_a_device_that_repeats_rests_between_two_rounds(tmp_path):
    """Without it --repeat of one label each was a scanner that reads three a second."""
    link = tmp_path / "labels"
    device = feldsher("simulate", "device", "scanner", "--pty-link", link, "--repeat", "--every", 1, "--patient", "7")
    assert device.stdout.readline().strip() == str(link)
    with link.open("rb", buffering=0) as line:
        began, labels = time.monotonic(), b""
        while labels.count(b"\r") < 3:
            labels += line.read(64) or b""
        took_s = time.monotonic() - began
    device.terminate()
    device.communicate(timeout=PATIENCE_S)
    assert took_s > 1.5
