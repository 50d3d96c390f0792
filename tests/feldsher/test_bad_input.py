"""What a technician does wrong, and what the world does to a running daemon: one clear line, its exit code, no loss."""

import json
import os
import random
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from edge.driver import Line
from edge.ports import open_line
from feldsher.main import main
from hardware.simulated import ptys
from hardware.simulated.analyser import Analyser
from hardware.simulated.results import message
from node.claim import claim
from node.spool import State
from tests.feldsher.place import Bench, Place, feldsher, free_port, pid_memory_bytes

IO, CONFIG, USAGE, DEVICE = 74, 78, 64, 79
GARBAGE_COUNT = 20_000
GROWTH_BYTES_MAX = 16 << 20


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory):
    """Folders of a kit and a gateway that are enrolled, to be copied and spoiled."""
    folder = tmp_path_factory.mktemp("enrolled")
    with Place(folder):
        pass
    return folder


@pytest.fixture
def kit(enrolled, tmp_path):
    shutil.copytree(enrolled / "kit", tmp_path / "kit")
    return tmp_path / "kit"


@pytest.fixture
def gateway(enrolled, tmp_path):
    shutil.copytree(enrolled / "gateway", tmp_path / "gateway")
    return tmp_path / "gateway"


@pytest.fixture
def fails(capsys):
    """Run a command that must fail with `code` and one line that holds all of `words`."""

    def run(code, command, *words):
        assert main([str(word) for word in command]) == code
        out = capsys.readouterr()
        lines = out.err.strip().splitlines()
        assert len(lines) == 1, out.err
        assert lines[0].startswith("feldsher: ")
        for word in words:
            assert str(word) in lines[0]
        return out.out

    return run


# Configuration and enrolment


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[port]]\nname = "a"\npath = "/dev/x"\ndriver = "astn"\n', ["port[0] (a)", "'astn' is unknown", "astm"]),
        (
            '[[port]]\nname = "a"\npath = "/dev/x"\ndriver = "astm"\noptions = {encodin = "x"}\n',
            ["'encodin'", "encoding"],
        ),
        ('[[port]]\nname = "a"\npath = "/dev/x"\ndriver = "astm"\nbuad = 9600\n', ["port[0]", "buad"]),
        ('[[port]]\nname = "a"\npath = "/dev/x"\ndriver = "as', ["not TOML"]),
        ('[[port]]\nname = "a"\npath = "/dev/x"\n', ["port[0]", "driver"]),
        ('[[port]]\nname = "a"\npath = "/dev/x"\ndriver = "astm"\nbaud = "fast"\n', ["port[0].baud"]),
        ("[limits]\nstudy_bytes_max = 1\n", ["limits.study_bytes_max"]),
        (None, ["cannot be read"]),
    ],
    ids=["driver", "option", "key", "cut off", "no driver", "type", "bound", "missing"],
)
def test_a_wrong_configuration_is_named_by_file_key_and_reason(kit, fails, text, words):
    path = kit / "kit.toml"
    path.unlink() if text is None else path.write_text(text)
    fails(CONFIG, ["kit", "run", "--data", kit], path, *words)


@pytest.mark.parametrize("node", ["kit", "gateway"])
@pytest.mark.parametrize("size", [0, 10, 200, 300, 400])
def test_an_enrolment_that_was_cut_off_is_refused_with_its_name(kit, gateway, fails, node, size):
    folder = kit if node == "kit" else gateway
    path = folder / "enrolment.toml"
    path.write_bytes(path.read_bytes()[:size])
    fails(CONFIG, [node, "run", "--data", folder], path)


@pytest.mark.parametrize("node", ["kit", "gateway"])
def test_an_enrolment_that_others_can_read_is_refused_with_what_to_do(kit, gateway, fails, node):
    folder = kit if node == "kit" else gateway
    (folder / "enrolment.toml").chmod(0o644)
    fails(CONFIG, [node, "run", "--data", folder], "others can read this secret", "chmod 600")


def test_a_key_with_a_digit_too_few_is_named_and_not_shown(kit, fails):
    path = kit / "enrolment.toml"
    secret = re.search(r'psk = "(\w+)"', path.read_text()).group(1)
    path.write_text(path.read_text().replace(secret, secret[:-1]))
    fails(CONFIG, ["kit", "run", "--data", kit], f"{path}: psk", "64 hex digits")


def test_enrolling_twice_changes_nothing_and_says_what_is_there(kit, fails, tmp_path):
    before = (kit / "enrolment.toml").read_bytes()
    shutil.copy(kit / "enrolment.toml", tmp_path / "van.toml")
    fails(USAGE, ["kit", "enrol", tmp_path / "van.toml", "--data", kit], kit, "kit van-1 is enrolled here already")
    assert (kit / "enrolment.toml").read_bytes() == before


def test_a_failed_enrolment_leaves_no_folder(fails, tmp_path):
    (tmp_path / "bad.toml").write_text("version = 1\n")
    (tmp_path / "bad.toml").chmod(0o600)
    fails(CONFIG, ["kit", "enrol", tmp_path / "bad.toml", "--data", tmp_path / "new"], "bad.toml", "name")
    assert not (tmp_path / "new").exists()


# Folders


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["kit", "run"], CONFIG),
        (["kit", "status"], USAGE),
        (["kit", "export", "--into", "out"], USAGE),
        (["gateway", "run"], CONFIG),
        (["gateway", "status"], USAGE),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else str(value),
)
@pytest.mark.parametrize("what", ["missing", "a file"])
def test_a_data_folder_that_is_none_is_named(fails, tmp_path, command, code, what):
    folder = tmp_path / "data"
    if what == "a file":
        folder.write_text("")
    fails(code, [*command, "--data", folder], folder)
    assert not (tmp_path / "out").exists()


def test_a_data_folder_below_a_file_is_named(kit, fails, tmp_path):
    (tmp_path / "file").write_text("")
    shutil.copy(kit / "enrolment.toml", tmp_path / "van.toml")
    fails(USAGE, ["kit", "enrol", tmp_path / "van.toml", "--data", tmp_path / "file" / "kit"], "no data folder can be")


def test_a_selftest_names_everything_that_is_wrong_and_ends_with_the_first_class(kit, capsys):
    (kit / "kit.toml").write_text('[[port]]\nname = "a"\npath = "/dev/no-such-port"\ndriver = "astm"\n')
    (kit / "enrolment.toml").chmod(0o644)
    assert main(["kit", "selftest", "--data", str(kit)]) == CONFIG
    out = capsys.readouterr().out
    assert "FAILED  enrolment" in out
    assert "ok      card" in out
    assert "/dev/no-such-port" in out


def test_a_selftest_is_not_content_with_an_enrolment_with_which_no_kit_runs(kit, capsys):
    path = kit / "enrolment.toml"
    path.write_text(path.read_text().partition("[[gateway]]")[0])
    assert main(["kit", "selftest", "--data", str(kit)]) == CONFIG
    assert "it names no gateway" in capsys.readouterr().out
    assert main(["kit", "run", "--data", str(kit)]) == CONFIG
    assert "names no gateway" in capsys.readouterr().err


def test_a_selftest_has_a_line_for_each_way(kit, capsys):
    ways = (("gsm", "modem:///dev/no-modem?to=udp://h:1"), ("stick", "dir:///tmp/stick"))
    (kit / "kit.toml").write_text("".join(f'[[way]]\nname = "{name}"\nurl = "{url}"\n' for name, url in ways))
    assert main(["kit", "selftest", "--data", str(kit)]) == DEVICE
    lines = capsys.readouterr().out.splitlines()
    assert "FAILED  way gsm (/dev/no-modem): there is no such line; is the modem plugged in and switched on?" in lines
    assert "ok      way stick (/tmp/stick)" in lines


def test_a_selftest_beside_a_running_kit_says_so_in_one_line(kit, capsys):
    with claim(kit):
        assert main(["kit", "selftest", "--data", str(kit)]) == USAGE
    assert "another process uses this data folder; stop it first" in capsys.readouterr().err


def test_a_selftest_is_read_by_a_program(kit, capsys):
    main(["kit", "selftest", "--data", str(kit), "--json"])
    checks = json.loads(capsys.readouterr().out)
    assert {one["check"].split()[0] for one in checks} >= {"enrolment", "card:", "configuration"}
    assert all(one["ok"] == (not one["error"]) for one in checks)


# Addresses


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_an_address_that_is_in_use_is_named(gateway, fails, scheme):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        if scheme == "tcp":
            taken.listen()
        url = f"{scheme}://127.0.0.1:{taken.getsockname()[1]}"
        fails(USAGE, ["gateway", "run", "--data", gateway, "--listen", url], url, "in use")


@pytest.mark.parametrize("url", ["carrier:1", "udp://", "udp://host", "udp://h:99999", "http://h:1", ""])
def test_an_address_that_is_none_is_named_with_an_example(gateway, fails, url):
    fails(USAGE, ["gateway", "run", "--data", gateway, "--listen", url], repr(url), "for example udp://")


@pytest.mark.slow
def test_a_link_address_of_the_centre_that_is_in_use_is_named(enrolled):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"udp://127.0.0.1:{taken.getsockname()[1]}"
        web = f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
        done = feldsher("server", "run", "--data", enrolled / "centre", "--listen", web, "--link", url)
    assert done.returncode == USAGE, done.stderr
    assert url in done.stderr
    assert "Traceback" not in done.stderr


# Running daemons


@pytest.fixture
def place(tmp_path):
    with Place(tmp_path) as made:
        yield made


def analyser(place, count=1, name="analyser"):
    """An analyser that says what it has to say, on a clock that is faster than its patience."""
    return Bench(place, name, Analyser([message("xp100", 1, "10079192", at=at) for at in range(count)], [], 1.0), 10.0)


def start_kit(place, ports=("analyser",)):
    place.configure_kit(dict.fromkeys(ports, "astm"))
    place.start("kit")
    place.until(lambda: place.is_ready("kit"), "the kit's first word", alive=("kit",))


def kit_says(place):
    done = feldsher("kit", "status", "--data", place.data("kit"))
    assert done.returncode == 0
    return done.stdout


@pytest.mark.slow
def test_a_port_that_is_missing_at_the_start_is_shown_and_used_as_soon_as_it_is_there(place):
    start_kit(place)
    place.until(lambda: "there is no such port" in place.log("kit"), "a word on the port", alive=("kit",))
    assert "port analyser: missing" in kit_says(place)
    bench = analyser(place)
    place.until(lambda: len(place.held()) == 2, "study and summary", alive=("kit",))
    place.until(lambda: "port analyser: present" in kit_says(place), "the view of it", alive=("kit",))
    assert bench.acknowledged
    place.stop("kit")


@pytest.mark.slow
def test_a_port_that_vanishes_is_shown_and_the_other_device_is_heard(place):
    first, second = analyser(place, 1, "first"), None
    start_kit(place, ("first", "second"))
    place.until(lambda: len(place.held()) == 2, "the first study", alive=("kit",))
    first.stop()
    place.until(lambda: "the port vanished" in place.log("kit"), "the port is missed", alive=("kit",))
    place.until(lambda: place.status("kit")["ports"]["first"] is False, "the status says so", alive=("kit",))
    place.until(lambda: place.status("kit")["leds"]["device"][0] == "slow", "the LED says so", alive=("kit",))
    second = analyser(place, 1, "second")
    place.until(lambda: len(place.held()) == 4, "the second study", alive=("kit",))
    assert second.acknowledged
    place.stop("kit")


@pytest.mark.slow
def test_a_port_that_another_program_has_is_said_so_and_taken_when_it_is_free(place):
    with ptys.open_pty(place.pty("analyser")) as (_, path):
        other = open_line(path, Line(9600))
        start_kit(place)
        place.until(lambda: f"(process {os.getpid()}) has it open" in place.log("kit"), "who has it", alive=("kit",))
        assert "port analyser: missing" in kit_says(place)
        other.close()
        place.until(lambda: place.status("kit")["ports"]["analyser"], "the port", alive=("kit",))
        place.stop("kit")


@pytest.mark.slow
def test_a_kit_with_a_wrong_key_says_so_and_keeps_its_studies(place):
    path = place.data("kit") / "enrolment.toml"
    path.write_text(re.sub(r'link_secret = "\w+"', f'link_secret = "{"5a" * 32}"', path.read_text()))
    place.start("centre")
    place.start("gateway")
    bench = analyser(place)
    start_kit(place)
    place.until(lambda: place.status("kit")["denied"], "the refusal", alive=("centre", "gateway", "kit"))
    place.until(lambda: len(place.held()) == 2, "the study", alive=("kit",))
    assert place.status("kit")["leds"]["alarm"][0] == "double"
    assert "does not let this kit in" in kit_says(place)
    assert len(re.findall("WARNING denied: ", place.log("kit"))) == 1, "said once"
    assert all(one.state is State.WAITING for one, _ in place.held().values())
    assert bench.acknowledged


@pytest.mark.slow
def test_a_kit_that_is_revoked_while_it_runs_is_shut_out_within_seconds_and_keeps_its_studies(place):
    place.start("centre")
    place.start("gateway")
    first = analyser(place)
    start_kit(place)
    place.until(lambda: len(place.held()) == 2 and place.is_drained(), "the first study", alive=("kit",))
    first.stop()
    done = feldsher("server", "kit", "revoke", "van-1", "--data", place.data("centre"))
    assert done.returncode == 0, done.stderr
    place.until(lambda: place.status("gateway")["roster_version"] > 1 and revoked(place), "the new roster")
    analyser(place)
    place.until(lambda: place.status("kit")["denied"], "the refusal", alive=("centre", "gateway", "kit"))
    assert "does not let this kit in" in kit_says(place)
    assert sum(one.state is State.WAITING for one, _ in place.held().values()) == 2
    assert place.status("gateway")["objects"]["spool"] == 0


def revoked(place):
    from gateway.roster import Roster
    from node.disk import RealDisk
    from node.enrolment import load_gateway

    enrolment = load_gateway(place.data("gateway") / "enrolment.toml")
    with RealDisk(place.data("gateway")) as disk:
        return any(entry.revoked for entry in Roster(disk, enrolment.server_sign_public).kits)


@pytest.mark.slow
def test_a_kit_that_was_killed_an_hour_ago_is_not_shown_as_running(place):
    start_kit(place)
    place.kill("kit")
    status = place.data("kit") / "status.json"
    os.utime(status, (time.time() - 3600,) * 2)
    assert "the kit is not running: this is what it said 1 h 00 min ago" in kit_says(place)


@pytest.mark.slow
def test_garbage_on_every_port_of_the_gateway_costs_it_nothing(place):
    udp, tcp = place.ports["gateway"], free_port(socket.SOCK_STREAM)
    place.start("centre")
    place.start("gateway", "--listen", f"udp://127.0.0.1:{udp}", "--listen", f"tcp://127.0.0.1:{tcp}")
    place.until(lambda: place.is_ready("gateway"), "the gateway", alive=("gateway",))
    pid = place.processes["gateway"].pid
    insult(udp, tcp, GARBAGE_COUNT // 10, random.Random(1))
    before = pid_memory_bytes(pid)
    insult(udp, tcp, GARBAGE_COUNT, random.Random(2))
    assert pid_memory_bytes(pid) - before < GROWTH_BYTES_MAX
    analyser(place)
    start_kit(place)
    everybody = ("centre", "gateway", "kit")
    place.until(lambda: len(place.held()) == 2 and place.is_drained(), "a receipt in spite of it", alive=everybody)
    assert "Traceback" not in place.log("gateway")
    assert len(place.log("gateway")) < 1 << 20, "a stranger cannot fill the card by the log"
    place.stop("gateway")


def insult(udp, tcp, count, chance):
    """Send `count` datagrams and a hundredth as many connections; frames of all kinds, sizes and beginnings."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for at in range(count):
            size = chance.choice((0, 1, 3, 19, 35, 96, 144, 600, 1400))
            sender.sendto(bytes((at % 8,)) * min(size, 1) + chance.randbytes(max(0, size - 1)), ("127.0.0.1", udp))
            if at % 50 == 0:
                time.sleep(0.001)
    for at in range(count // 100):
        with socket.create_connection(("127.0.0.1", tcp)) as caller:
            head = (b"", b"\x00", b"\xff\xff", b"\x00\x00", b"\x00\x60")[at % 5]
            try:
                caller.sendall(head + chance.randbytes(chance.choice((0, 1, 95, 5000))))
            except OSError:
                continue


# Cards that are full or read-only: a small file system of its own


@pytest.fixture
def small_card(tmp_path):
    """A tmpfs of 12 MiB as the kit's data folder; what it holds is the enrolment."""
    if os.geteuid() != 0:
        pytest.skip("FULL CARD NOT TESTED: mounting a small file system needs root")
    with Place(tmp_path) as made:
        card = made.data("kit")
        kept = {path.name: path.read_bytes() for path in card.iterdir()}
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs", str(card)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip(f"FULL CARD NOT TESTED: tmpfs cannot be mounted: {mounted.stderr.decode().strip()}")
        try:
            for name, data in kept.items():
                (card / name).write_bytes(data)
                (card / name).chmod(0o600)
            yield made
        finally:
            for process in made.processes.values():
                process.kill()
                process.wait()
            subprocess.run(["umount", "-l", str(card)], check=True)


def fill(card, leave=0):
    with (card / "full").open("wb") as file:
        room = os.statvfs(card)
        file.write(bytes(room.f_bavail * room.f_frsize - leave))


@pytest.mark.root
@pytest.mark.slow
def test_a_full_card_refuses_the_device_and_takes_its_study_when_there_is_room(small_card):
    card = small_card.data("kit")
    (card / "kit.toml").write_text("[limits]\nstudy_room_bytes = 1048576\n")
    start_kit_with_room(small_card)
    bench = analyser(small_card)
    small_card.until(lambda: len(small_card.held()) == 2, "the first study", alive=("kit",))
    bench.stop()
    fill(card)
    bench = analyser(small_card)
    small_card.until(lambda: "the disk has no room" in small_card.log("kit"), "the refusal", alive=("kit",))
    assert not bench.acknowledged
    small_card.until(lambda: small_card.status("kit")["leds"]["alarm"][0] == "fast", "the alarm", alive=("kit",))
    (card / "full").unlink()
    small_card.until(lambda: len(small_card.held()) == 4, "the second study", alive=("kit",))
    assert bench.acknowledged
    small_card.until(lambda: small_card.status("kit")["leds"]["alarm"][0] != "fast", "the end of the alarm")
    small_card.stop("kit")


@pytest.mark.root
@pytest.mark.slow
def test_a_card_that_is_full_at_the_start_does_not_stop_the_kit(small_card):
    card = small_card.data("kit")
    start_kit_with_room(small_card)
    small_card.stop("kit")
    fill(card)
    small_card.start("kit")
    time.sleep(3)
    assert small_card.processes["kit"].poll() is None, small_card.log("kit")[-2000:]
    (card / "full").unlink()
    small_card.stop("kit")


@pytest.mark.root
@pytest.mark.slow
def test_a_read_only_card_ends_the_kit_with_the_disks_exit_code_and_one_line(small_card):
    card = small_card.data("kit")
    (card / "kit.toml").write_text("")
    subprocess.run(["mount", "-o", "remount,ro", str(card)], check=True)
    done = feldsher("kit", "run", "--data", card)
    assert done.returncode == IO, done.stderr
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr


def start_kit_with_room(place):
    """Start the kit with limits that fit the small card."""
    place.configure_kit({"analyser": "astm"})
    path = Path(place.data("kit") / "kit.toml")
    path.write_text(path.read_text() + "[limits]\nstudy_room_bytes = 1048576\n")
    place.start("kit")
    place.until(lambda: place.is_ready("kit"), "the kit's first word", alive=("kit",))
