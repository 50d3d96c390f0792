"""A device that prints, and the kit in the place of its printer, as a user runs them."""

import json

from tests.feldsher.test_devices_cli import data, ended, feldsher  # noqa: F401 - a fixture
from tests.node.stores import SEAL_SECRET, SIGN_PUBLIC
from wire.record import Picture
from wire.seal import key_id
from wire.study import open_study


def test_a_device_that_waits_for_its_printer_is_content_with_the_kit(data, tmp_path):  # noqa: F811 - the fixture
    link = tmp_path / "printer"
    device = feldsher("simulate", "device", "printer-escpos", "--pty-link", link, "--patient", "24310077", "--json")
    assert device.stdout.readline().strip() == str(link)
    kit = feldsher(
        "kit",
        "capture",
        "--data",
        data,
        "--port",
        link,
        "--driver",
        "printer",
        "--option",
        "width=384",
        "--count",
        1,
        "--json",
    )
    code, out, err = ended(kit)
    assert code == 0, err
    (summary,) = [json.loads(line) for line in out.splitlines()]
    assert ["line 2", "АНАЛИЗ МОЧИ", ""] in summary["headline"]
    code, out, _ = ended(device)
    assert (code, json.loads(out)["acknowledged"]) == (0, 1)
    (path,) = (data / "spool").glob(f"*{summary['study']}*.study")
    study = open_study(path.read_bytes(), SEAL_SECRET, {key_id(SIGN_PUBLIC): SIGN_PUBLIC})
    assert study.signature_ok
    assert not study.damaged
    assert Picture.KIND in {tag.kind for entry in study.entries for tag in entry.tags}
