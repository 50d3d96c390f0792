"""The real kit, gateway and server in the simulated world: some seeds in every run, and every seed that ever failed."""

from pathlib import Path
from unittest import mock

import pytest

from edge.kit import ToCentre
from gateway.depot import Depot
from node.journal import StudyJournal
from node.seams import Custody
from server.kernel import FromPeers
from tests.sim.__main__ import WORLDS
from tests.sim.scenario import Scenario
from tests.sim.world import World

SEEDS = 10
KEPT = [
    (line.split()[0], int(line.split()[1]))
    for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, 5))
def test_nothing_is_lost_doubled_or_shown(first):
    for seed in range(first, first + 5):
        Scenario(seed).run()


@pytest.mark.parametrize(("world", "seed"), KEPT)
def test_a_seed_that_failed_once(world, seed):
    WORLDS[world](seed).run()


def test_a_seed_replays_exactly():
    assert Scenario(7).run() == Scenario(7).run()


def test_events_at_one_instant_run_in_the_order_in_which_they_were_asked_for():
    world, order = World(1), []
    world.at(5.0, lambda: order.append("b"))
    world.at(1.0, lambda: world.after(4.0, lambda: order.append("c")))
    world.at(2.0, lambda: order.append("a"))
    world.run(10.0)
    assert order == ["a", "b", "c"]
    assert world.now == 10.0


# Checkers that never fail prove nothing: each defect below is planted, and must be found.


def found(defect):
    """Return what the checkers say of the first seeds that meet the planted defect."""
    with defect:
        for seed in range(12):
            try:
                Scenario(seed).run()
            except AssertionError as error:
                return str(error)
    return ""


@pytest.mark.slow
def test_an_acknowledgement_before_the_commit_is_found():
    real = StudyJournal.append

    def hasty(self, tags):
        if self.entries != 1:
            real(self, tags)

    assert "was acknowledged" in found(mock.patch.object(StudyJournal, "append", hasty))


@pytest.mark.slow
def test_a_gateway_that_forgets_what_it_has_in_custody_is_found():
    assert "not drained" in found(mock.patch.object(Depot, "adopt", return_value=Custody()))


@pytest.mark.slow
def test_a_server_that_gives_receipts_for_nothing_is_found():
    from node.seams import Receipt
    from wire.receipt import sign_receipt

    def liar(self, whole):
        centre = self._centre
        digest = whole.offer.digest + bytes(16)
        return Receipt(sign_receipt(whole.offer.object_id, digest, 0, centre.keys.sign_secret))

    assert "is in no study at the centre" in found(mock.patch.object(FromPeers, "_ingest", liar))


@pytest.mark.slow
def test_a_kit_that_never_hears_a_receipt_is_found():
    assert "not drained" in found(mock.patch.object(ToCentre, "receipt"))


@pytest.mark.slow
def test_a_study_that_is_not_sealed_is_found():
    from wire import entry
    from wire.seal import x25519_public

    def bare(plaintext, recipient_public, info, aad, ephemeral_secret):
        return x25519_public(ephemeral_secret) + plaintext + bytes(16)

    uncompressed = mock.patch.object(entry.codecs, "pack_best", lambda kind, data: (0, data))
    with uncompressed:
        assert "lies open on" in found(mock.patch.object(entry, "seal", bare))
