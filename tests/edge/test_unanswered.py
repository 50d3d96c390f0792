"""What is said into a silence costs no more than its share, and nobody who answers is made to wait."""

from hypothesis import given
from hypothesis import strategies as st

from edge.tariff import UNBOUNDED, Amount, Tariff
from edge.unanswered import DAY_S, SILENT_RATE_MIN, SILENT_SIZE, UNANSWERED_S, Unanswered, silent_rate

FREE_SIZE = UNBOUNDED.size


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def allowance(rate=SILENT_RATE_MIN):
    clock = Clock()
    return Unanswered(rate, clock), clock


def sent_in(silence, clock, seconds, size=50, every_s=0.7):
    """Return the bytes that went in so many seconds of asking."""
    total, until = 0, clock.now + seconds
    while clock.now < until:
        total += size * silence.lets_through(size)
        clock.now += every_s
    return total


def test_the_first_half_minute_without_an_answer_is_not_bounded():
    silence, clock = allowance()
    assert sent_in(silence, clock, UNANSWERED_S, size=1400) > 40 * 1400


def test_an_hour_out_of_coverage_costs_its_allowance():
    silence, clock = allowance()
    sent_in(silence, clock, UNANSWERED_S)
    assert sent_in(silence, clock, 3600) <= SILENT_SIZE + 3600 * SILENT_RATE_MIN + 50


def test_a_large_hello_has_its_turn_among_small_probes():
    silence, clock = allowance()
    sent_in(silence, clock, UNANSWERED_S + 60)
    hellos = 0
    for _ in range(360):
        sent_in(silence, clock, 5)
        hellos += silence.lets_through(568)
    assert hellos >= 2


def test_an_answer_ends_it():
    silence, clock = allowance()
    sent_in(silence, clock, 600)
    while silence.lets_through(50):
        pass
    silence.heard()
    assert sent_in(silence, clock, UNANSWERED_S, size=1400) > 40 * 1400


def test_each_try_may_ask_once():
    silence, clock = allowance(0.001)
    sent_in(silence, clock, 600, size=568)
    assert not silence.lets_through(50)
    silence.begin_try()
    assert silence.lets_through(568)
    assert not silence.lets_through(50)


def test_where_no_bytes_are_bounded_nothing_is_held():
    silence, clock = allowance(None)
    assert sent_in(silence, clock, 3600, size=100) > 5000 * 100
    assert silence.since == 0.0


def test_the_rate_is_part_of_what_the_tightest_budget_allows():
    priced = Tariff(micros_per_mb=500_000)
    day = Amount(FREE_SIZE, 500_000_000, FREE_SIZE)  # 1 GB
    assert silent_rate(priced, [day, UNBOUNDED]) == 0.25 * 1e9 / DAY_S
    assert silent_rate(priced, [day, Amount(10**8, FREE_SIZE, FREE_SIZE)]) == 0.25 * 1e8 / DAY_S
    assert silent_rate(priced, [Amount(FREE_SIZE, 160_000, FREE_SIZE)]) == SILENT_RATE_MIN
    assert silent_rate(Tariff(power_mw=1), [Amount(FREE_SIZE, 160_000, 1)]) is None, "money buys no bytes here"
    assert silent_rate(priced, [UNBOUNDED]) is None


@given(st.lists(st.tuples(st.integers(1, 1500), st.floats(0, 900)), max_size=60), st.floats(2, 50))
def test_what_goes_unanswered_is_bounded_whatever_is_asked_when(asked, rate):
    silence, clock = allowance(rate)
    silence.lets_through(1)
    clock.now = UNANSWERED_S + 0.1
    begun, total = clock.now, 0
    for size, later_s in asked:
        total += size * silence.lets_through(size)
        clock.now += later_s
    assert total <= SILENT_SIZE + rate * (clock.now - begun) + 1500
