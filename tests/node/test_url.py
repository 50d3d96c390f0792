"""Addresses as people write them: read, written again, and never with their secrets."""

import pytest

from node.url import OPTIONS_MAX, Url, parse_url
from wire.errors import UsageError

WHOLE = [
    "udp://10.77.0.2:7000",
    "tcp://[2001:db8::1]:7000",
    "serial:///dev/ttyUSB0?baud=19200&dial=00881600005123",
    "modem:///dev/ttyUSB2?apn=internet&to=udp://gw.example.org:7700",
    "sbd:///dev/ttyUSB0",
    "sbd://0.0.0.0:10800",
    "dir:///media/stick%20one",
]


@pytest.mark.parametrize("text", WHOLE)
def test_what_is_read_is_written_the_same(text):
    url = parse_url(text)
    assert url.text == str(url) == text
    assert parse_url(url.text) == url


def test_a_pin_and_a_password_are_shown_to_nobody_and_kept_all_the_same():
    text = "modem:///dev/ttyUSB2?apn=a&pin=1234&password=s%26crt&to=udp://h:1"
    url = parse_url(text)
    assert url.options["password"] == "s&crt"  # noqa: S105 - it is the test's own
    assert url.text == text
    assert "1234" not in f"{url}"
    assert "crt" not in str(url)
    assert "apn=a" in str(url)


@pytest.mark.parametrize(
    "text",
    [
        "modem://dev/ttyUSB2?apn=a&pin=1234&password=s%26crt",
        "modem:///dev/a?pin=1234&password=s%26crt&x",
        "moden:///dev/a?password=s%26crt&pin=1234",
        "udp://host:1?pin=1234&password=s%26crt",
    ],
)
def test_an_address_with_a_mistake_in_it_is_told_without_its_secrets(text):
    with pytest.raises(UsageError) as caught:
        parse_url(text)
    assert "1234" not in str(caught.value)
    assert "crt" not in str(caught.value)
    assert "1234" not in repr(Url("modem", "", 0, "/dev/a", {"pin": "1234"}))


def test_addresses_that_differ_in_options_are_two_of_a_set():
    one, other = parse_url("modem:///dev/a?apn=x&to=udp://h:1"), parse_url("modem:///dev/a?apn=y&to=udp://h:1")
    assert len({one, other, Url("modem", "", 0, "/dev/a", dict(one.options))}) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "scheme ''"),
        ("ftp://host", "scheme 'ftp'"),
        ("udp://host", "host and a port"),
        ("udp://host:99999", "not an address"),
        ("udp://host:1?x=1", "no such options"),
        ("serial://dev/ttyUSB0", "three slashes"),
        ("dir:///", "three slashes"),
        ("modem:///dev/a?x", "not an address"),
        ("modem:///dev/a?" + "&".join(f"o{n}=1" for n in range(OPTIONS_MAX + 1)), "not an address"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(text, why):
    with pytest.raises(UsageError, match=why):
        parse_url(text)


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "é" * 60, "gw\x00evil", "gw\x7f"])
@pytest.mark.parametrize("scheme", ["udp", "tcp", "sbd"])
def test_a_name_that_no_machine_can_have_is_a_mistake_and_no_defect(scheme, host):
    """The resolver raises UnicodeError or ValueError for these, which nobody expects of it."""
    with pytest.raises(UsageError, match=r"no machine can have the name|not an address"):
        parse_url(f"{scheme}://{host}:7000")
