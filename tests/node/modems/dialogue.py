"""Runs one script of a driver against a written dialogue: what we say, and what the modem answered on record."""

from node.modems.at import AtFault, Engine
from node.modems.script import Script


class Played:
    """What came of it: `result`, or `fault`. Raises AssertionError where the script leaves the dialogue."""

    def __init__(self, script: Script, dialogue, urcs=(), *, seconds=200.0, size=None) -> None:
        self.result = self.fault = None
        self.engine = Engine(urcs)
        self._size = size
        self.engine.start(self._run(script), 0.0)
        self._play(dialogue, seconds)

    def _run(self, script):
        try:
            self.result = yield from script
        except AtFault as fault:
            self.fault = fault

    def _play(self, dialogue, seconds):
        now = 0.0
        for said, answer in dialogue:
            self._until(said, now)
            for piece in [answer] if self._size is None else [answer[at : at + 1] for at in range(len(answer))]:
                now += 0.001
                self.engine.feed(piece, now)
        while not self.engine.is_idle and now < seconds:
            due = self.engine.deadline()
            assert due is not None, "it waits for nothing"
            now = max(now, due)
            self.engine.tick(now)
        assert self.engine.is_idle, f"it has not ended after {seconds} s"
        left = self.engine.output()
        assert not left, f"it says more than the dialogue: {left!r}"

    def _until(self, said, now):
        heard = self.engine.output()
        while heard != said and not self.engine.is_idle and self.engine.deadline() is not None and now < 5.0:
            now = max(now, self.engine.deadline())
            self.engine.tick(now)
            heard += self.engine.output()
        assert heard == said, f"want {said!r}, not {heard!r}"
