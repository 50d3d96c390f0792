"""The documents against the tree: what they name exists, and no requirement that is met lacks code or test."""

import argparse
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from feldsher.main import COMMANDS, build_parser

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
FOLDERS = (
    "wire node edge gateway server hardware provisioning feldsher tests docs benchmarks formats decisions pictures .ci"
)
NAMED = re.compile(rf"`((?:{FOLDERS.replace(' ', '|').replace('.', '[.]')})/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
WORD = re.compile(r"[a-z][a-z-]*")


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def is_there(page: Path, name: str) -> bool:
    """Tell whether `name` exists, from the root, or beside the page; a decision may be named by its number alone."""
    if re.fullmatch(r"(docs/)?decisions/\d{4}", name):
        return any((ROOT / "docs/decisions").glob(f"{name[-4:]}-*.md"))
    return (ROOT / name).exists() or (page.parent / name).exists() or (ROOT / "docs" / name).exists()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_somewhere(page):
    missing = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_file_that_is_named_exists(page):
    missing = [name for name in NAMED.findall(page.read_text()) if not is_there(page, name)]
    assert missing == []


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of every `feldsher …` in code: in blocks line by line, else between backticks."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", prose)]
    for line in lines:
        for part in re.findall(r"(?:^|[\s(|]|bin/)feldsher ((?:[a-z]|--[a-z])[^|;&)#>]*)", line):
            yield shlex.split(part.replace("'", ""))


@cache
def parser_of(words: tuple[str, ...]) -> tuple[argparse.ArgumentParser, int]:
    """Return the deepest parser that `words` name, and how many words did."""
    parser, depth = build_parser(words[0] if words else None), 0
    for word in words:
        subs = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
        if not subs:
            break
        assert word in subs[0].choices, f"feldsher {' '.join(words)}: there is no {word!r}"
        parser, depth = subs[0].choices[word], depth + 1
    return parser, depth


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_that_is_named_is_understood(page):
    for words in commands(page.read_text()):
        names = []
        for word in words:
            if not WORD.fullmatch(word):
                break
            names.append(word)
        if names:
            assert names[0] in COMMANDS, f"feldsher {names[0]}"
        parser, _ = parser_of(tuple(names))
        known = {option for action in parser._actions for option in action.option_strings}
        unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
        assert unknown == [], f"feldsher {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_make_target_that_is_named_exists(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", page.read_text())) <= targets


# requirements.md


ROWS = [line for line in (ROOT / "docs/requirements.md").read_text().splitlines() if line.startswith("| R")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_what_is_done_names_its_code_and_its_test(row):
    _, _, _, state, code, test, _ = (cell.strip() for cell in row.split("|"))
    assert re.match(r"(done|part|later)\b", state), state
    if state.startswith("later"):
        return
    assert re.findall(r"`[\w./-]+`", code), "no code is named"
    named = re.findall(r"`((?:tests|benchmarks)/[\w./-]+)`", test)
    assert any(name.startswith("tests/") for name in named), "no test is named"
    assert all((ROOT / name).exists() for name in named)


def test_every_decision_is_in_the_index():
    index = (ROOT / "docs/decisions/README.md").read_text()
    notes = [path.name for path in (ROOT / "docs/decisions").glob("0*.md")]
    assert [name for name in notes if f"]({name})" not in index] == []


def test_every_unit_is_in_the_operations_page():
    page = (ROOT / "docs/operations.md").read_text()
    assert all(f"feldsher-{node}.service" in page for node in ("kit", "gateway", "centre"))
    for unit in (ROOT / "provisioning/systemd").glob("*.service"):
        started = re.findall(r"^ExecStart=\S+/feldsher (.*)$", unit.read_text(), re.MULTILINE)
        parser_of(tuple(started[0].split()[:2]))
        assert "Restart=always" in unit.read_text()
        assert "WatchdogSec=" in unit.read_text()
