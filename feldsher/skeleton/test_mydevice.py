"""What the driver owes the kit, and what it makes of each recording: `pip install -e .`, then `pytest`."""

import json
from pathlib import Path

import pytest

from edge import recording, registry
from edge.conformance import CHECKS, Check, check_any_bytes

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.toml") if path.name != "pyproject.toml")
OPTIONS = [{}, *({option.name: one} for option in registry.find("mydevice").FACTS.options for one in option.choices)]
"""The defaults, and each choice by itself. Add those that only count together."""


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("check", CHECKS)
def test_conformance(check: Check, options: dict[str, str]) -> None:
    check("mydevice", options)


@pytest.mark.parametrize("name", NAMES)
def test_its_own_bytes_cut_damaged_and_mixed_with_others_keep_the_rules(name: str) -> None:
    heard = [data for _, data in recording.load(HERE / name).heard if data]
    check_any_bytes("mydevice", {}, [*heard, *(data[: len(data) // 2] for data in heard)], rounds=100)


# A device that waits for an answer wants one more, from edge.conformance: it is not told before the disk has it.
#
# def test_it_is_acknowledged_late() -> None:
#     check_acknowledges_late("mydevice", {}, message=b"\x02...\x03", answer=b"\x06", before=b"\x05")


@pytest.mark.parametrize("size", [0, 1, 7], ids=["whole", "byte by byte", "in pieces"])
@pytest.mark.parametrize("name", NAMES)
def test_a_recording_gives_what_was_expected(name: str, size: int) -> None:
    """Made by `feldsher kit record`, expected by `feldsher kit replay NAME --expected`, which a person has read."""
    one = recording.load(HERE / name)
    expected = json.loads((HERE / f"{name}.expected.json").read_text("utf-8"))
    assert recording.outcome(recording.replay(one, lambda data: cut(data, size))) == expected  # noqa: S101 - a test


def cut(data: bytes, size: int) -> list[bytes]:
    """Divide what came in one piece; 0: not at all."""
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
