"""What a program can check of our own rules, in the spirit of TigerBeetle's `tidy.zig`."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"wire", "node", "edge", "gateway", "server", "hardware", "provisioning", "feldsher"}
MAY_IMPORT = {
    "wire": set(),
    "node": {"wire"},
    "edge": {"wire", "node", "hardware"},
    "gateway": {"wire", "node"},
    "server": {"wire", "node"},
    "hardware": {"wire"},
    "provisioning": OURS,
    "feldsher": OURS,
}
IMPURE = {
    "asyncio",
    "socket",
    "os",
    "time",
    "random",
    "logging",
    "pathlib",
    "threading",
    "subprocess",
    "io",
    "tempfile",
}
CLOCKS = {("time", "time"), ("time", "monotonic"), ("datetime", "now"), ("datetime", "utcnow")}
CLOCK_MODULES = {"node/clock.py"}
LINES_MAX, FUNCTION_LINES_MAX = 600, 64
GENERATED = {"wire/dictionary.py"}


def modules(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("folder", sorted(OURS))
def test_each_folder_imports_only_what_it_may(folder):
    allowed = MAY_IMPORT[folder] | {folder}
    wrong = [(name, used) for name, tree in modules(folder) for used in set(imports(tree)) & OURS - allowed]
    assert not wrong


def test_edge_takes_only_pins_from_hardware():
    wrong = [
        name
        for name, tree in modules("edge")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hardware.simulated")
    ]
    assert not wrong


def test_wire_is_pure():
    wrong = [(name, used) for name, tree in modules("wire") for used in set(imports(tree)) & IMPURE]
    opens = [
        name
        for name, tree in modules("wire")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "print"}
    ]
    assert not wrong
    assert not opens


def test_only_the_clock_module_reads_a_clock():
    wrong = [
        (name, node.lineno)
        for name, tree in modules("wire", "node", "edge", "gateway", "server", "hardware")
        if name not in CLOCK_MODULES
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in CLOCKS
    ]
    assert not wrong


def test_every_module_says_why_it_exists():
    assert not [name for name, tree in modules(*OURS) if not ast.get_docstring(tree)]


def test_files_and_functions_stay_readable():
    long_files = [
        name for name, _ in modules(*OURS) if name not in GENERATED and lines((ROOT / name).read_text()) > LINES_MAX
    ]
    long_functions = [
        (name, node.name)
        for name, tree in modules(*OURS)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long_files
    assert not long_functions


def lines(text):
    return text.count("\n")


def test_no_queue_is_unbounded():
    wrong = [
        (name, node.lineno)
        for name, tree in modules(*OURS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute | ast.Name)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id) in {"Queue", "SimpleQueue"}
        and not node.args
        and not any(word.arg == "maxsize" for word in node.keywords)
    ]
    assert not wrong


def test_every_driver_has_its_recording():
    drivers = {path.stem for path in (ROOT / "edge/drivers").glob("*.py")} - {"__init__"}
    helpers = {name for name in drivers if "_" in name}
    recorded = {path.name.split("-")[0].split(".")[0] for path in (ROOT / "tests/recordings").glob("*.toml")}
    assert not drivers - helpers - recorded


def test_every_requirement_has_its_row():
    text = (ROOT / "docs/requirements.md").read_text()
    assert not [number for number in range(1, 34) if f"| R{number} |" not in text]


def test_no_path_of_a_machine_is_named():
    here = "/wo" + "rk/"
    texts = [
        p
        for folder in (*OURS, "tests", "docs", "benchmarks")
        for p in (ROOT / folder).rglob("*")
        if p.suffix in {".py", ".md", ".toml", ".sh"}
    ]
    assert not [str(path) for path in texts if here in path.read_text(errors="replace")]
