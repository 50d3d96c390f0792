"""Roads between synchronous nodes in virtual time: nothing is lost, a frame takes DELAY_S. For tests of one node.

For links that lose, cut and corrupt there are `tests/sim/link.py` and `tests/wire/air.py`.
"""

import heapq
import itertools

DELAY_S = 0.01
STEPS_MAX = 200_000


class RoadEnd:
    """One end of a road; the seam `node.seams.Bearer`."""

    mtu, overhead, is_stream, is_message = 1200, 28, False, False

    def __init__(self, roads, node, name):
        self._roads, self.node, self.name = roads, node, name
        self.far = None
        self.is_open = True

    def room(self):
        return 1 << 20

    def send(self, frame):
        if self.is_open:
            self._roads.carry(self.far, frame)

    def close(self):
        self.is_open = False


class Roads:
    """The nodes, what is under way between them, and the time."""

    def __init__(self, *nodes):
        self.nodes = list(nodes)
        self.now = 0.0
        self._under_way = []
        self._order = itertools.count()

    def join(self, near, far, *, is_message=False):
        """Let `near` call `far`; returns the near end."""
        ends = RoadEnd(self, near, "near"), RoadEnd(self, far, "far")
        for end in ends:
            end.is_message = is_message
        ends[0].far, ends[1].far = ends[1], ends[0]
        far.bearer_up(ends[1], self.now)
        near.bearer_up(ends[0], self.now)
        return ends[0]

    def cut(self, end):
        """Take a road away; both ends are told."""
        for one in (end, end.far):
            one.is_open = False
            one.node.bearer_down(one, self.now)

    def carry(self, end, frame):
        heapq.heappush(self._under_way, (self.now + DELAY_S, next(self._order), end, frame))

    def run(self, seconds, done=lambda: False):
        """Let time pass, at most `seconds`, until `done()`; tell whether it is done."""
        until = self.now + seconds
        for _ in range(STEPS_MAX):
            times = [at for node in self.nodes if (at := node.deadline()) is not None]
            times += [self._under_way[0][0]] if self._under_way else []
            if done() or min(times, default=until + 1) > until:
                self.now = self.now if done() else until
                return done()
            self.now = max(self.now + 1e-4, min(times))
            self._step()
        raise AssertionError(f"the clock stands still at {self.now}")

    def _step(self):
        while self._under_way and self._under_way[0][0] <= self.now:
            _, _, end, frame = heapq.heappop(self._under_way)
            if end.is_open:
                end.node.receive(end, frame, self.now)
        for node in self.nodes:
            at = node.deadline()
            if at is not None and at <= self.now:
                node.tick(self.now)
