"""The command line as a whole: help, wrong use, and the gateway's enrolment."""

import argparse
import subprocess
import sys
from collections.abc import Iterator

import pytest

from feldsher.main import COMMANDS, build_parser, main
from provisioning import enrolment
from server.centre import Centre
from wire.errors import UsageError

Row = tuple[str, argparse.ArgumentParser]


def parsers() -> Iterator[Row]:
    """Yield every command and subcommand with its parser."""
    for command in COMMANDS:
        yield from below(command, choices(build_parser(command))[command])


def below(words: str, parser: argparse.ArgumentParser) -> Iterator[Row]:
    yield words, parser
    for name, sub in choices(parser).items():
        yield from below(f"{words} {name}", sub)


def choices(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


ALL = dict(parsers())


@pytest.mark.parametrize("words", ALL)
def test_every_command_shows_an_example(words):
    text = " ".join(ALL[words].format_help().split())
    assert "example: feldsher " in text
    assert text.split("example: feldsher ")[1].startswith(words.split()[0])


@pytest.mark.parametrize("words", ["", "nonsense", "kit", "server study", "kit run", "tags show", "demo --nonsense"])
def test_wrong_use_ends_with_the_code_of_its_class(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == UsageError.exit_code
    assert "--help" in capsys.readouterr().err


def test_a_missing_subcommand_shows_which_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["server", "kit"])
    shown = capsys.readouterr().err
    assert all(word in shown for word in ("add", "list", "revoke", "enrol a kit"))


@pytest.fixture
def enrolled(tmp_path):
    file = tmp_path / "north.toml"
    with Centre.open(tmp_path / "centre") as centre:
        enrolment.add_gateway(centre, "north", file, ["udp://127.0.0.1:7700"], ["tcp://127.0.0.1:7701"], [])
    return file


def test_a_gateway_is_enrolled_once(enrolled, tmp_path, capsys):
    data = tmp_path / "gateway"
    assert main(["gateway", "enrol", str(enrolled), "--data", str(data)]) == 0
    assert (data / "enrolment.toml").read_bytes() == enrolled.read_bytes()
    assert (data / "enrolment.toml").stat().st_mode & 0o777 == 0o600
    assert main(["gateway", "enrol", str(enrolled), "--data", str(data)]) == UsageError.exit_code
    assert "gateway north is enrolled here already" in capsys.readouterr().err


def test_no_data_folder_can_be_where_a_file_is(enrolled, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["gateway", "enrol", str(enrolled), "--data", str(tmp_path / "file")]) == UsageError.exit_code
    assert "no data folder can be here" in capsys.readouterr().err


def test_the_demo_wants_a_new_folder(tmp_path, capsys):
    (tmp_path / "gateway").mkdir()
    assert main(["demo", "--once", "--keep", str(tmp_path)]) == UsageError.exit_code
    assert "a new folder is wanted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("analyser --port /dev/null", 79, "no serial line"),
        ("analyser --port /dev/ptmx --baud 12345", 79, "no such speed"),
        ("analyser --every nan", 64, "--every"),
        ("oximeter --finger 0", 64, "--finger"),
        ("analyser --fault frame-numbers", 64, "is one frame; add --style c111"),
        ("ecg --fault seven-bit", 64, "not by zmodem; add --style kermit"),
        ("printer-plain --fault absurd", 64, "the printer-plain knows: breaks-off"),
    ],
)
def test_a_simulated_device_that_cannot_be_is_refused_in_one_line(words, code, told, capsys):
    assert main(["simulate", "device", *words.split()]) == code
    assert told in capsys.readouterr().err


def test_a_library_that_was_not_installed_is_named_with_its_extra():
    """In a process of its own: in this one the library, and all that uses it, may be there already."""
    words = "import sys; sys.modules['tinydb'] = None; from feldsher.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", words, "kit", "run", "--data", "nowhere"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 78
    assert "'tinydb" in ended.stderr
    assert "pip install 'feldsher[edge]'" in ended.stderr
