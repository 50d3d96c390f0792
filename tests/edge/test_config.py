"""A wrong kit.toml is told by file, key and reason before anything is opened."""

import re
from pathlib import Path

import pytest

from edge import config
from wire.errors import ConfigError

PORT = '[[port]]\nname = "a"\npath = "/dev/x"\ndriver = "astm"\n'


def write(tmp_path, text):
    path = tmp_path / "kit.toml"
    path.write_text(text)
    return path


def test_a_small_file_is_enough(tmp_path):
    kit = config.load(write(tmp_path, PORT))
    assert kit.port[0].driver == "astm"
    assert kit.port[0].bind == "scan"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PORT.replace("astm", "asmt"), r"port\[0\] \(a\): driver 'asmt' is unknown; there are: "),
        (PORT + PORT, r"port\[1\]\.name: 'a' is used twice"),
        (PORT + PORT.replace('"a"', '"b"'), r"port\[1\]\.path: '/dev/x' is used twice"),
        (PORT.replace('"a"', '"a b"'), r"port\[0\]\.name"),
        (PORT + 'bind = "guess"\n', r"port\[0\]\.bind"),
        (PORT + "[port.options]\nencodign = 'cp1251'\n", r"option 'encodign' is unknown"),
        (PORT + "[limits]\nstudy_bytes_max = 1\n", r"limits\.study_bytes_max"),
        ("".join(PORT.replace('"a"', f'"a{n}"').replace("/x", f"/x{n}") for n in range(17)), "17 ports; at most 16"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        config.load(write(tmp_path, text))
    assert "kit.toml" in str(caught.value)


# Ways

WAY = '[[way]]\nname = "gsm"\nurl = "modem:///dev/ttyUSB2?apn=internet&pin={pin}&to=udp://h:1"\n'
SECRETS = '[policy]\nsecrets = "secrets.toml"\n'


def with_secrets(tmp_path, text='pin = "1234"\n', mode=0o600):
    path = tmp_path / "secrets.toml"
    path.write_text(text)
    path.chmod(mode)


def test_without_ways_there_are_none():
    assert config.KitConfig().way == []


def test_a_secret_stands_in_a_file_of_its_own(tmp_path):
    with_secrets(tmp_path)
    path = write(tmp_path, SECRETS + WAY)
    kit = config.load(path)
    assert "1234" not in repr(kit)
    secrets = config.load_secrets(kit, path)
    assert config.filled(kit.way[0].url, secrets).endswith("pin=1234&to=udp://h:1")


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ('pin = "1"\n', 0o640, "others can read this secret"),
        ('puk = "1"\n', 0o600, r"way\[0\]\.url: \{pin\} is not in policy.secrets"),
        ("pin = 1\n", 0o600, "secrets.toml"),
    ],
)
def test_a_secret_that_is_missing_or_can_be_read_by_others_is_refused(tmp_path, text, mode, says):
    with_secrets(tmp_path, text, mode)
    with pytest.raises(ConfigError, match=says):
        config.load(write(tmp_path, SECRETS + WAY))


def test_a_place_for_a_secret_without_a_file_of_secrets_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"policy.secrets \(not set\)"):
        config.load(write(tmp_path, WAY))


PLAIN = '[[way]]\nname = "a"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PLAIN + PLAIN, r"way\[1\]\.name: 'a' is used twice"),
        (PLAIN + 'url = "http://x"\n', r"way\[0\]\.url: not an address"),
        (PLAIN + 'url = "sbd://0.0.0.0:10800"\n', r"way\[0\]\.url: .*a kit has a device there"),
        (PLAIN + 'url = "dir:///m"\ninterface = "wwan0"\n', r"way\[0\]\.interface: is for udp:// and tcp://"),
        (PLAIN + 'interface = "a b"\n', r"way\[0\]\.interface"),
        (PLAIN + 'up = "pon gsm"\n', r"way\[0\]\.up: needs `interface`"),
        (PLAIN + 'interface = "ppp0"\nup = "pon \\"gsm"\n', r"way\[0\]\.up: .*cannot be split"),
        (PLAIN + "priority = [3, 1]\n", r"way\[0\]\.priority: \[3, 1\]"),
        (PLAIN + "priority = [0, 9]\n", r"way\[0\]\.priority"),
        (PLAIN + 'quiet = ["22-6"]\n', r"way\[0\]\.quiet: '22': want HH:MM"),
        (PLAIN + 'quiet = ["1:00-2:00", "3:00-4:00", "5:00-6:00", "7:00-8:00", "9:00-10:00", "11:00-12:00", '
         '"13:00-14:00", "15:00-16:00", "17:00-18:00"]\n', r"way\[0\]\.quiet: 9 spans; at most 8"),
        (PLAIN + 'carries = "bulk"\n', r"way\[0\]\.carries"),
        (PLAIN + "rank = 10\n", r"way\[0\]\.rank"),
        (PLAIN + "[way.cost]\nper_mb = -1\n", r"way\[0\]\.cost\.per_mb"),
        (PLAIN + "[way.cost]\nper_mb = inf\n", r"way\[0\]\.cost\.per_mb"),
        (PLAIN + "[way.cost]\nper_gb = 1\n", r"per_gb"),
        (PLAIN + "[way.budget]\nmoney = nan\n", r"way\[0\]\.budget\.money"),
        ('[policy]\nzone = "Mars/Olympus"\n', "policy.zone: no time zone 'Mars/Olympus'"),
        ('[policy]\nzone = "../../etc/passwd"\n', "policy.zone"),
        ('[policy]\ncurrency = "euros"\n', "policy.currency"),
        (PORT + PLAIN + 'url = "sbd:///dev/x"\n', r"way\[0\]\.url: /dev/x is the line of port 'a'"),
        ('[[way]]\nname = "b"\nurl = "sbd:///dev/x"\n' + PLAIN + 'url = "serial:///dev/x"\n', "used by way 'b', too"),
        ("".join(f'[[way]]\nname = "w{n}"\n' for n in range(9)), "9 ways; at most 8"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_way_is_named(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        config.load(write(tmp_path, text))
    assert "kit.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "carries", "size_max", "delay_s", "keep"),
    [
        ("", "all", 0, 0.0, True),
        ("modem:///dev/x?to=udp://h:1", "all", 0, 0.0, True),
        ("sbd:///dev/x", "summaries", 2048, 60.0, False),
        ("dir:///media/stick", "all", 0, 86_400.0, True),
    ],
)
def test_what_a_way_is_when_the_file_does_not_say(url, carries, size_max, delay_s, keep):
    from edge.terms import terms_of

    terms = terms_of(config.Way(name="a", url=url))
    assert (terms.carries, terms.object_size_max, terms.delay_s, terms.keep) == (carries, size_max, delay_s, keep)
    assert not terms_of(config.Way(name="a", cost=config.Cost(per_mb=0.01))).keep


def test_ways_are_tried_by_rank_then_by_price():
    from edge.terms import terms_of

    dear = config.Way(name="dear", cost=config.Cost(per_mb=9))
    cheap, first = (
        config.Way(name="cheap", cost=config.Cost(per_mb=1)),
        config.Way(name="first", rank=1, cost=dear.cost),
    )
    order = sorted((terms_of(way, place) for place, way in enumerate((dear, cheap, first))), key=lambda one: one.order)
    assert [one.name for one in order] == ["first", "cheap", "dear"]


PAGE = (Path(__file__).parent.parent.parent / "docs/configuration.md").read_text()
EXAMPLES = [text for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "[[way]]" in text]


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_of_the_documentation_are_lawful(tmp_path, text):
    with_secrets(tmp_path, 'pin = "1234"\napn_password = "x"\n')
    assert config.load(write(tmp_path, text)).way


def test_there_are_three_examples_and_every_key_is_documented():
    assert len(EXAMPLES) == 3
    for shape in (config.Way, config.Policy, config.Cost, config.Energy, config.DayBudget):
        for field in shape.__struct_fields__:
            assert re.search(rf"[`.]{field}[`.]", PAGE), f"{shape.__name__}.{field} is not in docs/configuration.md"
            assert re.search(rf"\b{field}\b", config.__doc__), (
                f"{shape.__name__}.{field} is not in edge/config.py's head"
            )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sbd:///dev/x?hourly=0", "hourly=0; want a number from 1 to 240"),
        ("sbd:///dev/x?bauds=9600", "with options of baud"),
        ("modem:///dev/x?apn=internet", "to= is missing"),
        ("modem:///dev/x?to=udp://h:1&apm=internet", "no option 'apm'"),
        ("modem:///dev/x?to=udp://h:1&kind=zte", "kind='zte' is unknown"),
        ("modem:///dev/x?to=udp://h:1&pin={pin}", "pin= wants 4 to 8 digits"),
        ("serial:///dev/x?dial=12&profile=fax", "there is no profile 'fax'"),
        ("serial:///dev/x?answer=yes", "answer= is for the end that listens"),
    ],
)
def test_a_way_whose_options_no_road_would_take_is_refused_at_the_start_not_tried_for_ever(tmp_path, url, reason):
    with_secrets(tmp_path, 'pin = "98"\n')
    path = tmp_path / "kit.toml"
    path.write_text(f'[[way]]\nname = "a"\nurl = "{url}"\n[policy]\nsecrets = "secrets.toml"\n')
    with pytest.raises(ConfigError, match=r"kit\.toml: way\[0\]\.url: ") as caught:
        config.load(path)
    assert reason in str(caught.value)
    assert "98" not in str(caught.value)
