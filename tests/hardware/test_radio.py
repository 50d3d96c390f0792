"""The simulated radio is slow, loses what it should, and comes back under another address."""

import asyncio

from hardware.simulated.radio import Radio, Shape


class Peer(asyncio.DatagramProtocol):
    def __init__(self):
        self.got = []
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.got.append((data, addr, asyncio.get_running_loop().time()))


async def opened(shape):
    loop = asyncio.get_running_loop()
    far_transport, far = await loop.create_datagram_endpoint(Peer, local_addr=("127.0.0.1", 0))
    radio = Radio(far_transport.get_extra_info("sockname"), shape)
    await radio.open()
    near_transport, near = await loop.create_datagram_endpoint(Peer, remote_addr=radio.address)

    def close():
        for thing in (radio, far_transport, near_transport):
            thing.close()

    return radio, near, far, close


def test_a_datagram_takes_its_time_both_ways():
    async def scene():
        radio, near, far, close = await opened(Shape(rate_bps=80_000, delay_s=0.05, loss=0.0))
        begin = asyncio.get_running_loop().time()
        near.transport.sendto(bytes(972))
        await asyncio.sleep(0.3)
        (data, addr, arrived), *_ = far.got
        assert data == bytes(972)
        assert 0.15 <= arrived - begin <= 0.28
        far.transport.sendto(b"answer", addr)
        await asyncio.sleep(0.15)
        assert near.got[0][0] == b"answer"
        assert radio.bytes_carried == 1000 + 34
        close()

    asyncio.run(scene())


def test_a_cut_loses_everything_and_the_next_call_has_another_address():
    async def scene():
        radio, near, far, close = await opened(Shape(rate_bps=1e6, delay_s=0.02, loss=0.0))
        near.transport.sendto(b"one")
        await asyncio.sleep(0.1)
        near.transport.sendto(b"on the air")
        await asyncio.sleep(0)
        radio.cut()
        near.transport.sendto(b"into the cut")
        await asyncio.sleep(0.1)
        radio.mend()
        near.transport.sendto(b"two")
        await asyncio.sleep(0.1)
        assert [data for data, *_ in far.got] == [b"one", b"two"]
        assert far.got[0][1] != far.got[1][1]
        assert radio.cuts == 1
        close()

    asyncio.run(scene())


def test_a_full_queue_drops_its_tail():
    async def scene():
        _, near, far, close = await opened(Shape(rate_bps=800_000, delay_s=0.0, loss=0.0, queue_bytes=4000))
        for _ in range(20):
            near.transport.sendto(bytes(972))
        await asyncio.sleep(0.3)
        assert 3 <= len(far.got) <= 5
        close()

    asyncio.run(scene())
