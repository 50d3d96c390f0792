"""`feldsher kit label` as a user runs it: a printer on a pty, exit codes, a clear word."""

import json
import re

from feldsher.main import main
from tests.feldsher.test_devices_cli import ended, feldsher


def printer(tmp_path, *words):
    link = tmp_path / "printer"
    device = feldsher("simulate", "device", "label-printer", "--pty-link", link, "--json", *words)
    assert device.stdout.readline().strip() == str(link)
    return device, link


def test_a_label_is_printed_with_its_check_digit(tmp_path):
    device, link = printer(tmp_path, "--count", 2)
    code, out, err = ended(feldsher("kit", "label", "1055433", "24310077", "--printer", link, "--scheme", "mod10"))
    assert (code, out) == (0, "10554335\n243100773\n"), err
    code, out, _ = ended(device)
    assert (code, json.loads(out)["acknowledged"]) == (0, 2)


def test_a_printer_without_paper_ends_with_79_and_says_so(tmp_path):
    device, link = printer(tmp_path, "--fault", "paper-out")
    code, out, err = ended(feldsher("kit", "label", "1055433", "--printer", link))
    assert (code, out) == (79, "")
    assert "the paper is out; nothing was sent" in err
    device.terminate()
    assert ended(device)[0] == 79


def test_the_configuration_says_which_printer(tmp_path, capsys):
    (tmp_path / "kit.toml").write_text(
        '[label]\npath = "/dev/nonesuch"\nscheme = "mod97"\nprefix = "P"\nlanguage = "zpl"\n'
    )
    assert main(["kit", "label", "7", "--data", str(tmp_path)]) == 79
    assert "/dev/nonesuch: No such file" in capsys.readouterr().err
    into = tmp_path / "label.bin"
    assert main(["kit", "label", "7", "--data", str(tmp_path), "--into", str(into), "--text", "Олена"]) == 0
    text = into.read_text()
    assert re.search(r"\^FD>:P7\d\d\^FS", text)
    assert re.search(r"\^FD20\d\d-\d\d-\d\d\^FS", text)
    assert "Олена" in text
    assert main(["kit", "label", "7", "--data", str(tmp_path), "--into", str(into)]) == 64
    assert "File exists" in capsys.readouterr().err


def test_without_a_printer_one_is_asked_for(tmp_path, capsys):
    assert main(["kit", "label", "7"]) == 64
    assert "where is the printer?" in capsys.readouterr().err
    assert main(["kit", "label", "7", "--data", str(tmp_path)]) == 64
    assert main(["kit", "label", "7", "--checked", "--scheme", "mod10", "--printer", "/dev/null"]) == 64
    assert "check digit (mod10) does not hold" in capsys.readouterr().err
