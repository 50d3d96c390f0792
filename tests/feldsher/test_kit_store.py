"""`feldsher kit check|repair` on a kit's folder: sound, damaged, missing."""

import json

import pytest

from feldsher.main import main
from node.clock import SystemClock
from node.disk import RealDisk
from node.entropy import seeded
from node.journal import Studies
from node.spool import Spool
from wire import kinds
from wire.seal import seal_pair, sign_pair
from wire.tag import Tag


@pytest.fixture
def data(tmp_path):
    entropy = seeded(b"kit store")
    with RealDisk(tmp_path) as disk:
        spool = Spool(disk)
        (_, seal_public), (sign_secret, _) = seal_pair(entropy(32)), sign_pair(entropy(32))
        studies = Studies(disk, SystemClock(), entropy, seal_public, sign_secret, spool, kit="van-1")
        studies.recover()
        journal = studies.open()
        for number in range(5):
            journal.append([Tag(kinds.CAPTURE, kinds.RAW, bytes([number]) * 500)])
        journal.close({"study": journal.study_id, "kit": "van-1", "form": "unknown"})
    return tmp_path


def test_a_sound_store_is_called_sound(data, capsys):
    assert main(["kit", "check", "--data", str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sound"] is True


def test_a_flipped_bit_is_found_and_the_rest_of_the_study_is_written_anew(data, capsys):
    (study,) = (data / "spool").glob("*.study")
    whole = bytearray(study.read_bytes())
    whole[len(whole) // 3] ^= 1
    study.write_bytes(whole)
    assert main(["kit", "check", "--data", str(data)]) == 65
    out = capsys.readouterr().out
    assert study.name in out
    assert "NOT sound" in out
    assert main(["kit", "repair", "--data", str(data)]) == 0
    assert "1 files written" in capsys.readouterr().out
    assert study.read_bytes() == whole
    assert list((data / "repaired").iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    assert main(["kit", "check", "--data", str(tmp_path / "none")]) == 64
    assert "none: there is no such folder" in capsys.readouterr().err
