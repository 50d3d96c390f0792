"""Calls that may hang: made in order by one thread, and left behind when nobody waits any more."""

import asyncio
import threading

import pytest

from node.apart import CALLS_MAX, Apart, attempt
from wire.errors import Misuse


def test_what_came_of_a_call_is_brought_to_who_asked():
    def asking():
        try:
            told.append((yield int))
            yield str
        except ZeroDivisionError as error:
            told.append(error)

    told, visit = [], asking()
    assert attempt(next(visit)).bring(visit) is str
    with pytest.raises(StopIteration):
        attempt(lambda: 1 // 0).bring(visit)
    assert told[0] == 0
    assert isinstance(told[1], ZeroDivisionError)


def test_calls_are_made_in_order_while_the_loop_goes_on():
    async def play():
        apart, free, made = Apart("test"), threading.Event(), []
        first = asyncio.ensure_future(apart.make(lambda: (free.wait(10), made.append(1))))
        second = asyncio.ensure_future(apart.make(lambda: made.append(2)))
        await asyncio.sleep(0.05)
        assert (first.done(), second.done(), made) == (False, False, [])
        free.set()
        await asyncio.gather(first, second)
        return made

    assert asyncio.run(play()) == [1, 2]


def test_who_stops_waiting_leaves_the_call_to_its_end():
    async def play():
        apart, free, made = Apart("test"), threading.Event(), []
        waiting = asyncio.ensure_future(apart.make(lambda: (free.wait(10), made.append(1))))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait({waiting})
        free.set()
        assert (await apart.make(lambda: "next")).value == "next"
        return made

    assert asyncio.run(play()) == [1]


def test_no_more_calls_wait_than_one_visitor_makes():
    async def play():
        apart, free = Apart("test"), threading.Event()
        waiting = [asyncio.ensure_future(apart.make(lambda: free.wait(10)))]
        await asyncio.sleep(0.05)
        waiting += [asyncio.ensure_future(apart.make(bool)) for _ in range(CALLS_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(Misuse, match="8 calls wait"):
            await apart.make(bool)
        free.set()
        await asyncio.gather(*waiting)

    asyncio.run(play())


def test_a_call_that_outlives_the_loop_disturbs_nobody():
    apart, free, ended = Apart("outlives"), threading.Event(), threading.Event()

    async def play():
        asyncio.ensure_future(apart.make(lambda: (free.wait(10), ended.set())))  # noqa: RUF006 - the loop ends before it
        await asyncio.sleep(0.05)

    asyncio.run(play())
    free.set()
    assert ended.wait(5)
    thread = apart._thread
    thread.join(5)
    assert not thread.is_alive()
