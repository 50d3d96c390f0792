"""Centre, gateway and kit as real processes that have nothing in common but a stick, which somebody carries."""

import pytest

from node.stick import FOLDER
from server.centre import Centre
from tests.feldsher.place import Place, feldsher


class Carried(Place):
    """A place where kit and gateway have a slot each, and the stick is in one of them or in a pocket."""

    def __init__(self, folder):
        super().__init__(folder)
        for name in ("van", "base", "pocket"):
            (folder / name).mkdir()
        self.stick = folder / "pocket" / "stick"
        self.stick.mkdir()
        made = feldsher("kit", "stick", "init", self.stick)
        assert made.returncode == 0, made.stderr
        (self.data("kit") / "kit.toml").write_text(f'[[way]]\nname = "stick"\nurl = "dir://{folder}/van/stick"\n')

    def put(self, slot):
        to = self.folder / slot / "stick"
        self.stick.rename(to)
        self.stick = to

    def parcels(self):
        return sorted(path.name for path in (self.stick / FOLDER).iterdir())

    def led(self):
        return self.status("kit").get("leds", {}).get("power", [""])[0]

    def is_answered(self):
        status = self.stick_of_gateway()
        return status["safe_to_pull"] and not status["unsettled"] and len(self.parcels()) > 1

    def stick_of_gateway(self):
        return self.status("gateway")["sticks"][0]


@pytest.mark.slow
def test_a_worklist_reaches_a_kit_by_stick_alone_and_its_word_comes_back(tmp_path):
    (tmp_path / "list.csv").write_text("patient,sample\n24310077,S1\n")
    with Carried(tmp_path) as place:
        alive = ("centre", "gateway", "kit")
        place.start("centre")
        place.start("gateway", "--listen", f"dir://{tmp_path}/base/stick")
        place.start("kit")
        place.until(lambda: all(map(place.is_ready, alive)), "all run", alive=alive)
        data = ("--data", place.data("centre"))
        made = feldsher("server", "worklist", "set", "van-1", tmp_path / "list.csv", "--day", "2099-06-01", *data)
        assert made.returncode == 0, made.stderr
        place.put("base")
        place.until(lambda: "1 worklist" in place.stick_of_gateway()["text"], "it is on the stick", alive=alive)
        place.put("pocket")
        place.put("van")
        place.until(lambda: place.status("kit")["worklist"] == [["2099-06-01", 1]], "it is on the kit", alive=alive)
        place.until(lambda: place.led() == "double" and len(place.parcels()) == 2, "its answer is there", alive=alive)
        assert "24310077" in feldsher("kit", "worklist", "--data", place.data("kit")).stdout
        place.put("pocket")
        place.put("base")
        with Centre.open(place.data("centre")) as centre:
            place.until(lambda: centre.worklists.lists()[0].state == "on the kit", "the centre knows", alive=alive)
        for node in alive[::-1]:
            place.stop(node)


@pytest.mark.slow
def test_a_study_goes_to_the_centre_and_its_receipt_comes_back_by_stick_alone(tmp_path):
    with Carried(tmp_path) as place:
        listen = ["--listen", f"dir://{tmp_path}/base/stick"]
        place.start("centre")
        place.start("gateway", *listen)
        place.start("kit")
        alive = ("centre", "gateway", "kit")
        place.until(lambda: place.status("kit") and place.status("gateway"), "all run", alive=alive)
        place.until(lambda: place.status("gateway")["roster_version"] >= 1, "the roster", alive=alive)
        (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4 " + bytes(range(256)) * 400)
        done = feldsher("kit", "import", tmp_path / "report.pdf", "--data", place.data("kit"))
        assert done.returncode == 0, done.stderr
        place.until(place.held, "the study", alive=alive)

        place.put("van")
        place.until(lambda: place.led() == "double" and place.parcels(), "safe to pull", alive=alive)
        place.put("pocket")
        place.until(lambda: place.led() == "on", "the kit sees that the stick is gone", alive=alive)
        place.put("base")
        place.until(lambda: place.stick_of_gateway()["present"], "the gateway sees it", alive=alive)
        place.until(lambda: place.status("gateway")["objects"]["received"] >= 1, "the centre's receipt", alive=alive)
        place.until(lambda: not place.status("gateway")["objects"]["spool"], "all is at the centre", alive=alive)
        place.until(place.is_answered, "every receipt is on the stick", alive=alive)
        place.put("pocket")
        assert not place.is_drained(), "the kit knows nothing yet"
        place.put("van")
        place.until(place.is_drained, "the receipts are on the card", alive=alive)
        place.until(lambda: place.led() == "double" and len(place.parcels()) == 1, "the kit's parcel is gone")
        place.put("base")
        place.until(lambda: not place.parcels(), "the answer is gone, too", alive=alive)
        for node in alive[::-1]:
            place.stop(node)
