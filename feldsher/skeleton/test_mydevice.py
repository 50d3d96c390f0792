"""What the driver owes the kit, and what it makes of each recording: `pip install -e .`, then `pytest`."""

import json
from pathlib import Path

import pytest

from edge import recording
from edge.conformance import CHECKS, Check, check_any_bytes

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.toml") if path.name != "pyproject.toml")


@pytest.mark.parametrize("options", [{}, {"id": "nobody"}], ids=str)
@pytest.mark.parametrize("check", CHECKS)
def test_conformance(check: Check, options: dict[str, str]) -> None:
    check("mydevice", options)


def test_its_own_bytes_cut_and_mixed_with_others_keep_the_rules() -> None:
    check_any_bytes("mydevice", {}, [b"MD,0001234,0817,36.6,C,", b"MD,,0817,36.6,C,00\r\n", b"5A\r\n"], rounds=100)


@pytest.mark.parametrize("size", [0, 1, 7], ids=["whole", "byte by byte", "in pieces"])
@pytest.mark.parametrize("name", NAMES)
def test_a_recording_gives_what_was_expected(name: str, size: int) -> None:
    """Made by `feldsher kit record`, expected by `feldsher kit replay NAME --expected`, which a person has read."""
    one = recording.load(Path(__file__).with_name(name))
    expected = json.loads(Path(__file__).with_name(f"{name}.expected.json").read_text("utf-8"))
    assert recording.outcome(recording.replay(one, lambda data: cut(data, size))) == expected  # noqa: S101 - a test


def cut(data: bytes, size: int) -> list[bytes]:
    """Divide what came in one piece; 0: not at all."""
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
