"""Pictures at the centre: previews until the whole is here, the whole as it was, and what strangers may not do."""

import struct

import pytest

from benchmarks.photographs import jpeg
from node.entropy import seeded
from node.sealer import Sealer, preview_id_of
from server import restoring, unpacking
from server.pictures import PREVIEW_SIZE_MAX, shown, whole
from server.restoring import Restorer
from tests.server import samples
from tests.server.samples import Kit
from wire import codec, kinds, objects, picture, varint
from wire.errors import FormatError
from wire.objects import Receipt, Refusal
from wire.receipt import verify_receipt
from wire.record import Picture, Preview
from wire.tag import Tag

PHOTO = jpeg(640, 480)
HEAD = Picture("image/jpeg", "chest.jpg", b"").to_tag().data
STUDY = bytes(range(16))


class Clock:
    def time_ms(self):
        return samples.OPENED_MS


def preview_of(kit, study_id=STUDY, number=0, stage=1, image=b"RIFF coarse", media_type="image/webp"):
    """Return (object id, bytes) as a kit makes them."""
    sealer = Sealer(Clock(), seeded(image + bytes((number, stage))), kit.seal_public, kit.sign_secret)
    made = Preview(study_id, number, stage, media_type, "chest.jpg", 4000, 3000, image)
    return preview_id_of(study_id, number, stage), sealer.preview(made, samples.OPENED_MS)


def summary_of(kit, study_id=STUDY, **more):
    return kit.summary(samples.summary_of(study_id, kit.name, "4711", "document", **more))


def study_of(kit, study_id=STUDY, image=PHOTO):
    tag = Picture("image/jpeg", "chest.jpg", image).to_tag()
    return kit.study(
        [[tag, samples.device()], [samples.summary_of(study_id, kit.name, "4711").to_tag()]], study_id=study_id
    )


def page_of(browser, study_id=STUDY):
    return browser.get(f"/studies/{study_id.hex()}")


def previews_in(page):
    return [part.split('"')[0] for part in page.text.split('<img src="') if "/previews/" in part.split('"')[0]]


# Previews


def test_a_preview_is_shown_until_the_whole_is_here(doctor, van, take, centre):
    take(summary_of(van), objects.SUMMARY, 2)
    assert previews_in(page_of(doctor)) == []
    answer = take(preview_of(van), objects.PREVIEW, 3)
    assert isinstance(answer, Receipt)
    (source,) = previews_in(page_of(doctor))
    assert "the full picture is on its way" in page_of(doctor).text
    shown = doctor.get(source)
    assert (shown.content, shown.headers["content-type"]) == (b"RIFF coarse", "image/webp")
    take(preview_of(van, stage=2, image=b"RIFF fine"), objects.PREVIEW, 4)
    (source,) = previews_in(page_of(doctor))
    assert doctor.get(source).content == b"RIFF fine"
    take(study_of(van))
    page = page_of(doctor)
    assert previews_in(page) == []
    assert "on its way" not in page.text
    assert doctor.get(source).status_code == 404
    assert doctor.get(f"/studies/{STUDY.hex()}/pictures/0/0").content == PHOTO


def test_the_coarse_stage_that_comes_after_the_fine_one_does_not_replace_it(doctor, van, take):
    take(summary_of(van), objects.SUMMARY, 2)
    take(preview_of(van, stage=2, image=b"RIFF fine"), objects.PREVIEW)
    take(preview_of(van), objects.PREVIEW)
    (source,) = previews_in(page_of(doctor))
    assert doctor.get(source).content == b"RIFF fine"


def test_previews_of_several_pictures_stand_in_their_order(doctor, van, take):
    take(summary_of(van), objects.SUMMARY, 2)
    for number in (2, 0, 1):
        take(preview_of(van, number=number, image=b"RIFF %d" % number), objects.PREVIEW)
    assert [doctor.get(one).content for one in previews_in(page_of(doctor))] == [b"RIFF 0", b"RIFF 1", b"RIFF 2"]


def test_a_preview_that_comes_after_its_study_changes_nothing(doctor, van, take, centre):
    take(summary_of(van), objects.SUMMARY, 2)
    take(study_of(van))
    before, line = page_of(doctor).text.split("<h2")[1:5], centre.library.line(STUDY.hex())
    assert isinstance(take(preview_of(van), objects.PREVIEW), Receipt)
    assert page_of(doctor).text.split("<h2")[1:5] == before
    assert centre.library.line(STUDY.hex()) == line


def test_a_preview_is_no_study(doctor, van, take, centre):
    take(preview_of(van), objects.PREVIEW)
    assert centre.library.lines() == []
    assert page_of(doctor).status_code == 404
    take(summary_of(van), objects.SUMMARY, 2)
    (line,) = centre.library.lines()
    assert not line.received
    assert len(previews_in(page_of(doctor))) == 1


def test_the_summary_is_still_read_when_a_preview_came_behind_it(doctor, van, take):
    take(summary_of(van, headline=(("Pictures", "1", ""),)), objects.SUMMARY, 2)
    take(preview_of(van), objects.PREVIEW)
    assert "Not verified" not in page_of(doctor).text
    assert "Pictures" in page_of(doctor).text


def test_the_receipt_of_a_preview_is_the_same_when_it_comes_again(van, take, centre):
    pair = preview_of(van)
    first = take(pair, objects.PREVIEW)
    digest = samples.offer(pair[0], objects.PREVIEW, pair[1]).digest
    verify_receipt(first.data, centre.keys.sign_public, pair[0], digest)
    assert take(pair, objects.PREVIEW) == first
    assert centre.ingest.known(samples.offer(pair[0], objects.PREVIEW, pair[1])) == first


def test_a_preview_signed_by_nobody_or_by_another_kit_is_kept_and_not_shown(doctor, van, take, centre):
    other, stranger = (Kit(name, centre.keys.seal_public, name) for name in ("van-2", "stranger"))
    other.enrol(centre)
    take(summary_of(van), objects.SUMMARY, 2)
    for number, kit in enumerate((stranger, other)):
        assert isinstance(take(preview_of(kit, number=number), objects.PREVIEW), Receipt)
        assert previews_in(page_of(doctor)) == []


def test_a_forged_preview_that_came_first_makes_way_for_the_kits_own(doctor, van, take, centre):
    stranger = Kit("stranger", centre.keys.seal_public, "stranger")
    take(summary_of(van), objects.SUMMARY, 2)
    take(preview_of(stranger, image=b"forged"), objects.PREVIEW)
    assert isinstance(take(preview_of(van), objects.PREVIEW), Receipt)
    (source,) = previews_in(page_of(doctor))
    assert doctor.get(source).content == b"RIFF coarse"


def test_a_preview_of_a_revoked_kit_is_set_aside(van, take, centre):
    centre.peers.revoke_kit("van-1")
    assert isinstance(take(preview_of(van), objects.PREVIEW), Refusal)


def test_a_preview_that_a_browser_should_not_be_given_is_not_shown(doctor, van, take):
    take(summary_of(van), objects.SUMMARY, 2)
    take(preview_of(van, media_type="text/html", image=b"<script>alert(1)</script>"), objects.PREVIEW)
    take(preview_of(van, number=1, image=bytes(PREVIEW_SIZE_MAX)), objects.PREVIEW)
    # Zeros pack to nothing, so that one is small enough to be shown; noise is not.
    take(preview_of(van, number=2, image=seeded(b"noise")(PREVIEW_SIZE_MAX)), objects.PREVIEW)
    assert len(previews_in(page_of(doctor))) == 1


@pytest.mark.parametrize("raw", [b"", b"no stream", bytes(1000)])
def test_what_is_no_preview_is_kept_and_shown_as_nothing(raw, doctor, van, take):
    take(summary_of(van), objects.SUMMARY, 2)
    assert isinstance(take((bytes(range(16, 32)), raw), objects.PREVIEW), Receipt)
    assert page_of(doctor).status_code == 200


def test_a_damaged_preview_disturbs_no_page(doctor, van, take):
    take(summary_of(van), objects.SUMMARY, 2)
    object_id, raw = preview_of(van, image=b"RIFF" * 100)
    for at in range(0, len(raw), 50):
        take((object_id, samples.damage(raw, at)), objects.PREVIEW)
        assert page_of(doctor).status_code == 200


# The whole


def test_a_picture_that_travelled_as_jpeg_xl_is_shown_and_unpacked_as_it_was(doctor, van, take, centre, tmp_path):
    study_id, raw = study_of(van)
    assert len(raw) < 0.9 * len(PHOTO)
    take((study_id, raw))
    page = page_of(doctor).text
    assert "chest.jpg" in page
    answer = doctor.get(f"/studies/{study_id.hex()}/pictures/0/0")
    assert (answer.content, answer.headers["content-type"]) == (PHOTO, "image/jpeg")
    names = unpacking.unpack(centre, centre.library.line(study_id.hex()), tmp_path / "out")
    (name,) = [name for name in names if "picture" in name]
    assert name.endswith(".jpg")
    assert (tmp_path / "out" / name).read_bytes() == PHOTO


def test_the_list_of_pictures_needs_none_restored(van, take, centre, monkeypatch):
    take(study_of(van))
    monkeypatch.setattr(Restorer, "restore", None)
    reading = centre.library.reading(centre.library.line(STUDY.hex()))
    assert [(one.name, one.size, one.is_in_page) for one in shown(reading)] == [("chest.jpg", len(PHOTO), True)]


def test_a_packed_picture_that_is_damaged_says_so_and_the_study_is_shown(doctor, van, take):
    packed = bytearray(codec.pack(HEAD + PHOTO, codec.IMAGE))
    packed[len(packed) // 2] ^= 1
    tag = Tag(kinds.IMAGE, kinds.PICTURE, bytes(packed), state=codec.IMAGE)
    study_id, raw = van.study([[tag, samples.device()]])
    take((study_id, raw))
    assert page_of(doctor, study_id).status_code == 200
    answer = doctor.get(f"/studies/{study_id.hex()}/pictures/0/0")
    assert answer.status_code == 404
    assert "original file" in answer.text


def test_a_picture_is_restored_in_a_process_with_limits():
    packed = codec.pack(HEAD + PHOTO, codec.IMAGE)
    assert Restorer().restore(packed, 1 << 20) == HEAD + PHOTO
    with pytest.raises(FormatError, match="at most 100"):
        Restorer().restore(packed, 100)
    with pytest.raises(FormatError, match="a box"):
        Restorer().restore(packed[:-100], 1 << 20)


def test_a_picture_that_takes_more_memory_than_it_may_ends_its_own_process_only(monkeypatch):
    monkeypatch.setattr(restoring, "_LIMITED", ("-c", LIMITED))
    with pytest.raises(FormatError, match="could not be restored"):
        Restorer().restore(codec.pack(HEAD + PHOTO, codec.IMAGE), 1 << 20)


LIMITED = """
import resource, sys
from server import restoring
restoring.MEMORY_SIZE_MAX = 40 << 20
sys.exit(restoring.main())
"""


def test_a_picture_that_takes_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(restoring, "_LIMITED", ("-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(restoring, "WAIT_S_MAX", 0.5)
    with pytest.raises(FormatError, match="within"):
        Restorer().restore(codec.pack(HEAD + PHOTO, codec.IMAGE), 1 << 20)


def test_a_picture_that_declares_a_billion_pixels_is_not_tried(van):
    _, size, jxl = picture.parse(codec.pack(HEAD + PHOTO, codec.IMAGE))
    bits = 0 | 3 << 1 | ((1 << 30) - 1) << 3 | 0 << 33 | 3 << 36 | ((1 << 30) - 1) << 38
    stream = b"\xff\x0a" + bits.to_bytes(10, "little")
    boxes = [one for one in picture._boxes(jxl) if one[0] != b"jxlp"]
    file = b"".join(struct.pack(">I", 8 + len(b)) + k + b for k, b in [*boxes, (b"jxlc", stream)])
    tag = Tag(kinds.IMAGE, kinds.PICTURE, b"\x01\x00" + varint.encode(size) + file, state=codec.IMAGE)
    with pytest.raises(FormatError, match="pixels; at most"):
        whole(tag, Restorer())
