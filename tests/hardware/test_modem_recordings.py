"""The dialogues on record, which the drivers' tests use too: every simulated modem says exactly what stands there."""

import pytest

from hardware.simulated.modems.quectel import Bg96, Quectel
from hardware.simulated.modems.sim import SimCard
from hardware.simulated.modems.sim800 import Sim800
from hardware.simulated.modems.sim7600 import Sim7600
from tests.hardware.modem_bench import dialled, load, names, orbital, replay, virtual

MODEMS = {"sim800": Sim800, "sim7600": Sim7600, "quectel": Quectel, "bg96": Bg96}


@pytest.mark.parametrize("name", names())
def test_replay(name):
    card, steps = load(name)
    faults = card.get("faults", "").split()
    if card["modem"] == "iridium9602":
        bench, _ = orbital(*faults)
        far = bench.others[0]
    elif card["modem"] in {"csd", "iridium-dialup"}:
        bench, far = dialled(*faults, make=card["modem"].partition("-")[0])
    else:
        card_in_it = SimCard(card.get("pin", ""))
        bench, far = virtual(MODEMS[card["modem"]], *faults, kind=card.get("kind", "TCP"), card=card_in_it)
    replay(bench, far, steps)


@pytest.mark.parametrize("name", names())
def test_a_recording_has_its_name_card(name):
    card, steps = load(name)
    assert card["modem"] in {*MODEMS, "iridium9602", "csd", "iridium-dialup"}
    assert card["what"]
    assert card["source"]
    assert steps
