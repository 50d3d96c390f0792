"""Users, passwords and sessions; the brake on guessing."""

import pytest
from sqlalchemy import select

from server import people as p
from server import tables as t
from tests.server.conftest import PASSWORD
from wire.errors import AuthError, UsageError


@pytest.fixture
def people(centre):
    centre.people.add("olena", PASSWORD)
    return centre.people


def test_a_good_password_begins_a_session(people):
    token, session = people.log_in("olena", PASSWORD, "192.0.2.1")
    assert people.session(token).user == session.user == people.user("olena")


def test_wrong_name_and_wrong_password_are_told_the_same(people):
    told = set()
    for name, password in (("olena", "wrong wrong wrong"), ("nobody", PASSWORD), ("", ""), ("olena", "x" * 10**5)):
        with pytest.raises(AuthError) as caught:
            people.log_in(name, password, "192.0.2.1")
        told.add(str(caught.value))
    assert len(told) == 1


def test_the_database_opens_no_session(people, centre):
    token, _ = people.log_in("olena", PASSWORD, "192.0.2.1")
    with centre.database.read() as connection:
        row = connection.execute(select(t.sessions)).one()
        user = connection.execute(select(t.users)).one()
    assert token not in str(row)
    assert PASSWORD not in str(user)
    assert people.session(row.token_hash) is None


@pytest.mark.parametrize("token", ["", "x", "0" * 64, "é" * 50, "\0", "\ud800"])
def test_a_token_that_was_never_given(people, token):
    assert people.session(token) is None


def test_a_session_ends_when_nobody_uses_it(people, clock):
    token, _ = people.log_in("olena", PASSWORD, "")
    clock.pass_s(p.IDLE_MS_MAX / 1000)
    assert people.session(token) is not None
    clock.pass_s(p.IDLE_MS_MAX / 1000 + 1)
    assert people.session(token) is None


def test_a_session_ends_even_when_it_is_used(people, clock):
    token, _ = people.log_in("olena", PASSWORD, "")
    for _ in range(p.SESSION_MS_MAX // p.IDLE_MS_MAX):
        assert people.session(token) is not None
        clock.pass_s(p.IDLE_MS_MAX / 1000)
    clock.pass_s(1)
    assert people.session(token) is None


def test_logging_out_a_new_password_and_disabling_end_sessions(people):
    for end in (
        lambda token: people.log_out(people.session(token)),
        lambda _: people.set_password("olena", PASSWORD),
        lambda _: people.disable("olena"),
    ):
        token, _ = people.log_in("olena", PASSWORD, "")
        end(token)
        assert people.session(token) is None
    with pytest.raises(AuthError):
        people.log_in("olena", PASSWORD, "")


def test_a_user_has_a_bounded_number_of_sessions_and_the_oldest_ends(people):
    tokens = [people.log_in("olena", PASSWORD, "")[0] for _ in range(p.SESSIONS_MAX + 1)]
    assert [people.session(token) is not None for token in tokens] == [False] + [True] * p.SESSIONS_MAX


def fail(people, name, address, count):
    for _ in range(count):
        with pytest.raises(AuthError):
            people.log_in(name, "wrong wrong", address)


def test_guessing_is_braked_and_the_brake_lets_go(people, clock):
    fail(people, "olena", "192.0.2.9", p.FAILURES_OF_NAME_AND_ADDRESS_MAX)
    with pytest.raises(p.Throttled, match="15 minutes"):
        people.log_in("olena", PASSWORD, "192.0.2.9")
    assert people.log_in("olena", PASSWORD, "192.0.2.1"), "the doctor at another address is not locked out"
    clock.pass_s(p.FAILURE_WINDOW_MS / 1000 + 1)
    assert people.log_in("olena", PASSWORD, "192.0.2.9")


def test_many_names_from_one_address_are_braked(people):
    for number in range(p.FAILURES_OF_ADDRESS_MAX):
        fail(people, f"name{number}", "192.0.2.9", 1)
    with pytest.raises(p.Throttled):
        people.log_in("olena", PASSWORD, "192.0.2.9")


def test_one_name_from_many_addresses_is_braked(people):
    for number in range(p.FAILURES_OF_NAME_MAX):
        fail(people, "olena", f"192.0.2.{number}", 1)
    with pytest.raises(p.Throttled):
        people.log_in("olena", PASSWORD, "203.0.113.1")


@pytest.mark.parametrize(
    ("name", "password", "role", "zone"),
    [
        ("", PASSWORD, "doctor", "UTC"),
        ("a b", PASSWORD, "doctor", "UTC"),
        ("x" * 65, PASSWORD, "doctor", "UTC"),
        ("<script>", PASSWORD, "doctor", "UTC"),
        ("ok", "x" * (p.PASSWORD_SIZE_MIN - 1), "doctor", "UTC"),
        ("ok", "x" * (p.PASSWORD_SIZE_MAX + 1), "doctor", "UTC"),
        ("ok", PASSWORD, "king", "UTC"),
        ("ok", PASSWORD, "doctor", "Moon/Crater"),
        ("ok", PASSWORD, "doctor", "../../etc/passwd"),
        ("olena", PASSWORD, "doctor", "UTC"),
    ],
)
def test_a_user_that_cannot_be(people, name, password, role, zone):
    with pytest.raises(UsageError):
        people.add(name, password, role, zone)
    assert [user.name for user in people.users()] == ["olena"]


def test_a_password_at_both_limits(people):
    for size in (p.PASSWORD_SIZE_MIN, p.PASSWORD_SIZE_MAX):
        people.set_password("olena", "ж" * size)
        assert people.log_in("olena", "ж" * size, "")


def test_a_password_typed_on_another_keyboard(people):
    people.set_password("olena", "\u0456\u0439 caf\u00e9 long enough")
    assert people.log_in("olena", "\u0456\u0438\u0306 cafe\u0301 long enough", "")


def test_unknown_users(people):
    for call in (people.user, people.disable, lambda name: people.set_zone(name, "UTC")):
        with pytest.raises(UsageError, match="no user is called"):
            call("nobody")
