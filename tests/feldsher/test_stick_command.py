"""`kit stick init` and `gateway carry`, on real folders and a real enrolment."""

import json

import pytest

from feldsher.gateway import listening
from feldsher.main import main
from node.claim import claim
from node.disk import RealDisk
from node.stick import FOLDER
from provisioning.enrolment import add_gateway
from server.centre import Centre
from wire.errors import DeviceError, UsageError


@pytest.fixture
def gateway(tmp_path):
    data = tmp_path / "gateway"
    data.mkdir(mode=0o700)
    with Centre.open(tmp_path / "centre") as centre:
        add_gateway(centre, "ground", data / "enrolment.toml", ["udp://127.0.0.1:7"], ["udp://127.0.0.1:9"])
    return data


def test_a_stick_is_marked_and_its_files_are_left_alone(tmp_path, capsys):
    (tmp_path / "holiday.jpg").write_bytes(b"sand")
    for _ in range(2):
        assert main(["kit", "stick", "init", str(tmp_path)]) == 0
        assert "the stick carries parcels now" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [FOLDER, "holiday.jpg"]


def test_a_place_without_a_stick_and_one_that_cannot_be_written_are_told(tmp_path, capsys):
    assert main(["kit", "stick", "init", str(tmp_path / "none")]) == UsageError.exit_code
    assert "is the stick mounted?" in capsys.readouterr().err
    (tmp_path / FOLDER).write_bytes(b"a file where the folder should be")
    assert main(["kit", "stick", "init", str(tmp_path)]) in (0, DeviceError.exit_code)
    assert main(["kit", "stick", "init", "/proc"]) == DeviceError.exit_code
    assert "/proc: cannot be written" in capsys.readouterr().err


def test_a_technician_carries_a_stick_to_a_gateway_that_does_not_run(gateway, tmp_path, capsys):
    words = ["gateway", "carry", str(tmp_path / "stick"), "--data", str(gateway)]
    assert main(words) == DeviceError.exit_code
    (tmp_path / "stick").mkdir()
    assert main(words) == DeviceError.exit_code
    assert "kit stick init" in capsys.readouterr().err
    assert main(["kit", "stick", "init", str(tmp_path / "stick")]) == 0
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["brought"], status["safe_to_pull"]) == (0, True)
    assert main(words) == 0
    assert "0 objects came and are in custody; safe to pull" in capsys.readouterr().out


def test_while_the_gateway_runs_the_stick_is_its_own_affair(gateway, tmp_path, capsys):
    with RealDisk(tmp_path), claim(gateway):
        assert main(["gateway", "carry", str(tmp_path), "--data", str(gateway)]) == UsageError.exit_code
    told = capsys.readouterr().err
    assert "another process uses this data folder" in told
    assert f"--listen dir://{tmp_path}" in told


def test_a_place_for_sticks_takes_no_address_away_from_the_kits():
    enrolled, stick = ["udp://0.0.0.0:7"], "dir:///media/stick"
    assert listening([], enrolled) == enrolled
    assert listening([stick], enrolled) == [*enrolled, stick]
    assert listening(["tcp://0.0.0.0:7", stick], enrolled) == ["tcp://0.0.0.0:7", stick]
