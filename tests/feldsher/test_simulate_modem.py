"""`feldsher simulate modem` as a user runs it: a process, a pty, plain pyserial, socat, a server on this machine."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import serial

from feldsher.main import main

PATIENCE_S = 30.0
SPEED = "20"
OK = b"\r\nOK\r\n"


class Simulated:
    """The process, and what it printed first."""

    def __init__(self, *words, lines=1):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "feldsher", "simulate", "modem", *map(str, words), "--speed", SPEED],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.told = [self.process.stdout.readline().strip() for _ in range(lines)]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


class Line:
    """A host's end: what is sent, and what comes until something has been heard."""

    def __init__(self, path, baud=115_200):
        self.port = serial.Serial(str(path), baud, timeout=0.02)

    def say(self, data, until=b"OK\r\n"):
        self.port.write(data)
        heard, end = b"", time.monotonic() + PATIENCE_S
        while until not in heard:
            assert time.monotonic() < end, heard
            heard += self.port.read(4096)
        return heard

    def insist(self, data=b"AT\r", until=b"OK\r\n"):
        """Say it again and again, as to a modem that is still booting."""
        heard, end = b"", time.monotonic() + PATIENCE_S
        while until not in heard:
            assert time.monotonic() < end, heard
            self.port.write(data)
            time.sleep(0.1)
            heard += self.port.read(4096)
        time.sleep(0.1)
        self.port.reset_input_buffer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.port.close()


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)
        yield listening


def test_bytes_through_the_sockets_of_a_sim800_reach_a_server_here(tmp_path, server):
    link = tmp_path / "modem"
    gateway = f"127.0.0.1:{server.getsockname()[1]}"
    modem = Simulated("sim800", "--pty-link", link, "--gateway", gateway, "--json", "--verbose")
    assert modem.told == [str(link)]
    data = bytes(range(256))
    with Line(link) as line:
        line.insist(b"AT+CGATT?\r", b"+CGATT: 1")
        line.say(b"ATE0;+CIPRXGET=1\r")
        line.say(b'AT+CSTT="internet"\r')
        line.say(b"AT+CIICR\r")
        line.say(b"AT+CIFSR\r", b".7\r\n")
        line.say(b'AT+CIPSTART="TCP","gateway.example",7700\r', b"CONNECT OK\r\n")
        peer, _ = server.accept()
        with peer:
            line.say(b"AT+CIPSEND=256\r", b"> ")
            line.say(data, b"SEND OK\r\n")
            assert peer.recv(1_000) == data
            peer.sendall(data)
            line.say(b"", b"+CIPRXGET: 1\r\n")
            assert data in line.say(b"AT+CIPRXGET=2,1000\r", b"\r\nOK\r\n")
        line.say(b"", b"CLOSED\r\n")
    code, out, err = modem.end()
    assert code == 0
    assert json.loads(out)["commands"] >= 8
    assert "AT+CIICR" in err
    assert not link.exists()


def test_socat_speaks_with_it(tmp_path):
    if shutil.which("socat") is None:
        pytest.skip("socat is not installed: apt-get install socat, and the modem is tried with a program of others")
    modem = Simulated("quectel", "--pty-link", tmp_path / "modem")
    with Line(tmp_path / "modem") as line:
        line.insist()
    words = ["socat", "-t", "1", "-", f"{tmp_path / 'modem'},rawer,b115200"]
    done = subprocess.run(words, input=b"ATI\r", capture_output=True, timeout=PATIENCE_S, check=True)
    assert b"Quectel\r\n\r\nEC25\r\n" in done.stdout
    assert modem.end()[0] == 0


def test_a_short_burst_reaches_a_directip_server_and_the_bill_is_told(tmp_path, server):
    directip = f"127.0.0.1:{server.getsockname()[1]}"
    modem = Simulated(
        *(
            "iridium9602",
            "--pty-link",
            tmp_path / "modem",
            "--directip",
            directip,
            "--mt-listen",
            "127.0.0.1:0",
            "--json",
        ),
        lines=2,
    )
    mt = modem.told[1].rpartition(" ")[2]
    with Line(tmp_path / "modem", 19_200) as line:
        line.insist(b"ATE0\r")
        line.say(b"AT+SBDWB=5\r", b"READY\r\n")
        line.say(b"hello\x02\x14")
        assert b"+SBDIX: 0, 0, 0," in line.say(b"AT+SBDIX\r")
        peer, _ = server.accept()
        with peer:
            assert peer.recv(1_000).endswith(b"\x02\x00\x05hello")
        with socket.create_connection(mt.rsplit(":", 1), timeout=PATIENCE_S) as owner:
            body = b"\x41\x00\x15abcd300234063904190\x00\x00\x42\x00\x06answer"
            owner.sendall(b"\x01" + len(body).to_bytes(2, "big") + body)
            assert owner.recv(100)[-2:] == b"\x00\x01"
        line.say(b"", b"SBDRING\r\n")
        assert b"+SBDIX: 0, 1, 1, 1, 6, 0" in line.say(b"AT+SBDIXA\r")
        assert line.say(b"AT+SBDRB\r").startswith(b"\x00\x06answer")
    code, out, _ = modem.end()
    facts = json.loads(out)
    assert code == 0
    assert (facts["credits"], facts["sessions"], facts["delivered"]) == (3, 2, 2)
    assert facts["joules"] > 0


def test_two_ptys_and_a_call_between_them(tmp_path):
    modem = Simulated("dialup", "--pty-link", tmp_path / "a", "--answer-link", tmp_path / "b", lines=3)
    assert modem.told[:2] == [str(tmp_path / "a"), str(tmp_path / "b")]
    number = modem.told[2].rpartition(" ")[2]
    with Line(tmp_path / "a", 19_200) as caller, Line(tmp_path / "b") as answerer:
        caller.insist()
        answerer.insist(b"ATE0S0=1\r")
        caller.port.write(f"ATD{number}\r".encode())
        caller.say(b"", b"CONNECT 9600/RLP\r\n")
        answerer.say(b"", b"CONNECT 9600/ARQ\r\n")
        caller.port.write(b"\x00hello")
        answerer.say(b"", b"\x00hello")
    assert modem.end()[0] == 0


def test_a_call_to_a_server(tmp_path, server):
    gateway = f"127.0.0.1:{server.getsockname()[1]}"
    modem = Simulated("dialup", "--make", "iridium", "--pty-link", tmp_path / "a", "--gateway", gateway)
    with Line(tmp_path / "a", 19_200) as line:
        line.insist(b"ATE0\r")
        line.say(b"ATDT00881600005123\r", b"CONNECT 19200\r\n")
        peer, _ = server.accept()
        with peer:
            line.port.write(b"hello")
            assert peer.recv(100) == b"hello"
        line.say(b"", b"NO CARRIER\r\n")
    assert modem.end()[0] == 0


def test_a_wrong_speed_of_the_pty_garbles(tmp_path):
    modem = Simulated("sim800", "--pty-link", tmp_path / "modem")
    with Line(tmp_path / "modem") as line:
        line.insist()
        line.port.baudrate = 9_600
        line.port.write(b"AT\r")
        time.sleep(0.3)
        assert b"OK" not in line.port.read(1_000)
        line.port.baudrate = 115_200
        line.insist()
    assert modem.end()[0] == 0


def test_a_supply_that_is_cut_by_a_signal_brings_a_hung_modem_back(tmp_path):
    modem = Simulated("sim800", "--pty-link", tmp_path / "modem", "--fault", "hang=CSQ")
    with Line(tmp_path / "modem") as line:
        line.insist()
        line.port.write(b"AT+CSQ\r")
        time.sleep(0.3)
        line.port.reset_input_buffer()
        line.port.write(b"AT\r")
        time.sleep(0.3)
        assert line.port.read(1_000) == b""
        modem.process.send_signal(signal.SIGUSR1)
        line.say(b"", b"RDY\r\n")
        line.insist()
    assert modem.end()[0] == 0


def test_a_modem_that_vanishes_takes_its_pty_with_it_and_comes_back(tmp_path):
    link = tmp_path / "modem"
    modem = Simulated("sim800", "--pty-link", link, "--fault", "vanish=CSQ:20")
    with Line(link) as line:
        line.insist()
        before = os.readlink(link)
        line.port.write(b"AT+CSQ\r")
        _until(lambda: not link.is_symlink())
        assert before
    _until(link.is_symlink)
    with Line(link) as line:
        line.insist()
    assert modem.end()[0] == 0


def _until(happens):
    end = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < end
        select.select([], [], [], 0.02)


def test_it_ends_by_itself(capsys, tmp_path):
    assert main(["simulate", "modem", "bg96", "--pty-link", str(tmp_path / "m"), "--for", "2", "--speed", "50"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == str(tmp_path / "m")
    assert out[1].startswith("modem: bg96, seconds: ")


@pytest.mark.parametrize("kind", ["sim800", "sim7600", "quectel", "bg96", "iridium9602", "dialup"])
def test_the_faults_are_listed(kind, capsys):
    assert main(["simulate", "modem", kind, "--list-faults", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert {"hang", "urc-inside", "lost-final", "vanish"} <= set(table)
    assert main(["simulate", "modem", kind, "--list-faults"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(table)


@pytest.mark.parametrize(
    "words",
    [
        ["sim800", "--fault", "nonsense"],
        ["sim800", "--fault", "hang@x"],
        ["sim800", "--fault", "mo-status=1"],
        ["sim800", "--gateway", "nowhere"],
        ["sim800", "--gateway", "host:99999"],
        ["sim800", "--loss", "1"],
        ["sim800", "--rate", "0"],
        ["sim800", "--delay", "nan"],
        ["sim800", "--speed", "0"],
        ["iridium9602", "--directip", ":1"],
    ],
)
def test_wrong_arguments_are_said_in_a_line(words, capsys):
    assert main(["simulate", "modem", *words]) == 64
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_place_that_cannot_be_had(capsys, tmp_path):
    assert main(["simulate", "modem", "sim800", "--pty-link", str(tmp_path / "missing" / "m")]) == 79
    assert main(["simulate", "modem", "iridium9602", "--mt-listen", "203.0.113.1:1"]) == 79
    assert len(capsys.readouterr().err.strip().splitlines()) == 2


# With our own driver and a real server: each was written apart from the other


def run(*words, timeout=60.0):
    return subprocess.run(
        [sys.executable, "-m", "feldsher", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class Serving:
    """`link serve` on free ports of this machine."""

    def __init__(self, folder):
        assert run("link", "keys", folder / "keys").returncode == 0
        urls = ("--listen", "udp://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0")
        words = ("link", "serve", *urls, "--into", folder / "in", "--keys", folder / "keys")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "feldsher", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.ports = {}
        while len(self.ports) < 2:
            kind, _, rest = self.process.stdout.readline().partition("listening on ")[2].partition("://127.0.0.1:")
            self.ports[kind] = rest.partition(",")[0]

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()


@pytest.fixture
def serving(tmp_path):
    one = Serving(tmp_path)
    yield one
    one.end()


def carried(tmp_path, serving, kind, scheme, *faults, size=6_000):
    """Send a file through the modem; return whether it arrived as it was."""
    knobs = [word for fault in faults for word in ("--fault", fault)]
    gateway = f"127.0.0.1:{serving.ports[scheme]}"
    modem = Simulated(kind, "--pty-link", tmp_path / "modem", "--gateway", gateway, "--rate", 40_000, *knobs)
    data = os.urandom(size)
    (tmp_path / "file.bin").write_bytes(data)
    url = f"modem://{tmp_path}/modem?apn=internet&to={scheme}://gateway.example:7700"
    sent = run(
        "link", "send", tmp_path / "file.bin", "--to", url, "--keys", tmp_path / "keys", "--timeout", 100, timeout=120
    )
    modem.end()
    assert sent.returncode == 0, sent.stderr
    return (tmp_path / "in" / "file.bin").read_bytes() == data


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["udp", "tcp"])
@pytest.mark.parametrize("kind", ["sim800", "sim7600", "quectel", "bg96"])
def test_a_file_goes_through_the_modem_to_a_real_server(tmp_path, serving, kind, scheme):
    assert carried(tmp_path, serving, kind, scheme)


@pytest.mark.slow
@pytest.mark.parametrize(
    "faults",
    [
        ["urc-inside=5@10%", "urc-between@10%"],
        ["one-byte=0.0005", "echo"],
        ["pdp-deact@4"],
        ["restart@30"],
        ["send-fail@2", "connect-fails@1"],
        ["boot-garbage=200", "sim-busy=8"],
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["sim800", "quectel"])
def test_a_file_goes_through_a_modem_that_fails(tmp_path, serving, kind, faults):
    assert carried(tmp_path, serving, kind, "udp", *faults)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sim800", "sim7600"])
def test_a_file_goes_through_a_modem_that_takes_64_bytes_at_once(tmp_path, serving, kind):
    """Over TCP: a datagram of which a part is taken never arrives."""
    assert carried(tmp_path, serving, kind, "tcp", "short-accept=64", size=2_000)
