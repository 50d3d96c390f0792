"""What a program can check of our own rules, in the spirit of TigerBeetle's `tidy.zig`."""

import ast
import re
import statistics
from functools import cache
from pathlib import Path

import pytest

from wire import errors

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
FILE_LINES_MEDIAN_MAX, FUNCTION_LINES_MEDIAN_MAX = 200, 9
SLEEP_S_MAX = 0.5
"""A test that sleeps longer says on the line why; those of the command line run real processes in real time."""
GENERATED = {"wire/dictionary.py"}
OTHERS = {"tests", "benchmarks"}
MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
EXCEPTION = re.compile(r"# (?:ruff: )?(?:noqa: |type: ignore\[)([A-Za-z\d, -]+?)\b\]?(\s+(?:[-#] )?\w.*)?$")
BARE = re.compile(r"# (?:noqa|type: ignore)\b(?!: |\[)")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")


@cache
def parsed(path):
    return ast.parse(path.read_text())


def sources(*folders):
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def modules(*folders):
    for path in sources(*folders):
        yield path.relative_to(ROOT).as_posix(), parsed(path)


def lines_that(pattern):
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sources(*OURS, *OTHERS)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def length(node):
    return (node.end_lineno or 0) - node.lineno + 1


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
    assert not wrong
    assert not calls_of({"open", "print", "input"}, "wire")


def test_only_commands_print():
    assert not calls_of({"print"}, *OURS - {"feldsher"})


def calls_of(names, *folders):
    return [
        (name, node.lineno)
        for name, tree in modules(*folders)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    ]


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
        (name, node.name, length(node))
        for name, tree in modules(*OURS, *OTHERS)
        for node in functions(tree)
        if length(node) > FUNCTION_LINES_MAX
    ]
    assert not long_files
    assert not long_functions


def test_the_usual_file_and_function_are_short(record_property):
    files = statistics.median(lines(path.read_text()) for path in sources(*OURS))
    usual = statistics.median(length(node) for _, tree in modules(*OURS) for node in functions(tree))
    record_property("lines of the median file", files)
    record_property("lines of the median function", usual)
    assert files <= FILE_LINES_MEDIAN_MAX
    assert usual <= FUNCTION_LINES_MEDIAN_MAX


def lines(text):
    return text.count("\n")


def test_no_module_keeps_state():
    """What a module holds is a constant: state lives in objects that somebody made and can make twice."""
    assigned = [
        (name, ast.unparse(node.targets[0]))
        for name, tree in modules(*OURS)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, MUTABLE)
    ]
    assert not [(name, what) for name, what in assigned if what != "__all__" and not what.isupper()]
    assert not [name for name, tree in modules(*OURS) for node in ast.walk(tree) if isinstance(node, ast.Global)]


def test_what_is_private_stays_in_its_module():
    wrong = [
        (name, node.module, alias.name)
        for name, tree in modules(*OURS, *OTHERS)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert not wrong


def test_every_exception_to_a_rule_of_style_says_why():
    """Once in a file for each rule."""
    unexplained = []
    for path in sources(*OURS, *OTHERS):
        found = [match for line in path.read_text().splitlines() if (match := EXCEPTION.search(line))]
        explained = {match[1] for match in found if match[2]}
        unexplained += [(path.relative_to(ROOT).as_posix(), match[1]) for match in found if match[1] not in explained]
    assert not unexplained
    assert not lines_that(BARE)


def test_nothing_is_left_for_later():
    assert not lines_that(UNFINISHED)


def test_no_time_is_naive():
    wrong = [
        (name, node.lineno)
        for name, tree in modules(*OURS, *OTHERS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value).split(".")[-1] in {"datetime", "date"}
        and (node.func.attr in {"utcnow", "today"} or (node.func.attr == "now" and not node.args + node.keywords))
    ]
    assert not wrong


def test_no_error_is_swallowed_whole():
    """A bare except, or one of BaseException, must raise again or hand the error on."""
    wrong = [
        (name, node.lineno)
        for name, tree in modules(*OURS)
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) == "BaseException")
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    ]
    assert not wrong


def test_no_test_sleeps_long_without_a_reason():
    slow = [
        f"{name}:{node.lineno}"
        for name, tree in modules("tests")
        if not name.startswith("tests/feldsher/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep"}
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value > SLEEP_S_MAX
        and "# " not in (ROOT / name).read_text().splitlines()[node.lineno - 1]
    ]
    assert not slow


def test_a_class_of_error_is_raised_somewhere_and_has_its_own_exit_code():
    (tree,) = (tree for name, tree in modules("wire") if name == "wire/errors.py")
    leaves = [node.name for node in tree.body if isinstance(node, ast.ClassDef)][1:]
    used = {
        node.func.id
        for _, tree in modules(*OURS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not set(leaves) - used
    codes = {getattr(errors, name).exit_code for name in leaves}
    assert len(codes) == len(leaves)


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
