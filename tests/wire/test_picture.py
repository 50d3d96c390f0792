"""Codec 4: every JPEG comes out byte for byte or is left alone; nothing that claims to be packed asks for too much."""

import contextlib
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from benchmarks.photographs import as_file, jpeg, photograph
from wire import codec, entry, kinds, picture, varint
from wire.codec import IMAGE, pack_best, unpack
from wire.errors import FormatError
from wire.picture import HEAD_SIZE_MAX, MARKERS_MAX, PIXELS_MAX, pack, parse
from wire.record import Picture
from wire.seal import seal_pair

SIZE_MAX = 32 << 20
PICTURE = (kinds.IMAGE, kinds.PICTURE)
PHOTO = jpeg()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif():
    made = Image.Exif()
    made[0x0112], made[0x010E] = 6, "left eye"
    return made


WHOLE = {
    "baseline, 4:2:0": PHOTO,
    "progressive": jpeg(progressive=True),
    "4:2:2": jpeg(subsampling=1),
    "4:4:4": jpeg(subsampling=0),
    "quality 30": jpeg(quality=30),
    "quality 98": jpeg(quality=98),
    "optimised tables": jpeg(optimize=True),
    "restart markers": jpeg(restart_marker_rows=1),
    "grey": as_file(photograph(320, 240).convert("L"), quality=80),
    "EXIF": jpeg(exif=exif()),
    "ICC profile": jpeg(icc_profile=SRGB),
    "comment": jpeg(comment=b"x" * 2000),
    "bytes behind its end": PHOTO + b"a maker's own block" * 99,
    "another JPEG behind its end": PHOTO + jpeg(64, 64),
    "odd sides": jpeg(317, 239),
    "one row": jpeg(2000, 1),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_jpeg_comes_out_byte_for_byte(name):
    data = Picture("image/jpeg", "chest.jpg", WHOLE[name]).to_tag().data
    packed = pack(data)
    assert unpack(packed, IMAGE, len(data)) == data


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in ("one row", "another JPEG behind its end")])
def test_a_photograph_is_smaller_by_eight_percent_at_least(name):
    assert len(pack(WHOLE[name])) < 0.92 * len(WHOLE[name])


LEFT_ALONE = {
    "cut short": PHOTO[: len(PHOTO) // 2],
    "without its end": PHOTO[:-2],
    "CMYK": as_file(photograph(64, 64).convert("CMYK")),
    "a flipped bit": PHOTO[:5000] + bytes((PHOTO[5000] ^ 16,)) + PHOTO[5001:],
    "only its beginning": PHOTO[:3],
    "zeros behind its beginning": PHOTO[:3] + bytes(5000),
    "PNG": as_file(photograph(64, 64), "PNG"),
    "a profile that is none": jpeg(icc_profile=bytes(range(256)) * 20),
    "text": b"no picture at all",
    "nothing": b"",
    "JPEG that begins too late": bytes(HEAD_SIZE_MAX + 1) + PHOTO,
    "sixteen pixels": jpeg(4, 4),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_is_not_restored_or_not_smaller_is_not_packed_so(name):
    number, packed = pack_best(PICTURE, LEFT_ALONE[name])
    assert len(packed) <= len(LEFT_ALONE[name])
    assert unpack(packed, number, SIZE_MAX) == LEFT_ALONE[name]
    if name != "a flipped bit":  # a JPEG all the same, and then a good one
        assert number != IMAGE


def test_a_jpeg_that_libjxl_does_not_give_back_as_it_was_stays_as_it_is(monkeypatch):
    """No such file is known: so a transcoder stands here that loses a byte."""
    monkeypatch.setattr(picture, "_restored", lambda jxl, size: PHOTO[:-1])
    assert pack_best(PICTURE, PHOTO)[0] != IMAGE


def test_without_libjxl_a_picture_stays_as_it_is(monkeypatch):
    packed = pack(PHOTO)
    monkeypatch.setitem(__import__("sys").modules, "pillow_jxl", None)
    assert pack_best(PICTURE, PHOTO)[0] != IMAGE
    with pytest.raises(FormatError, match="pillow-jxl-plugin"):
        unpack(packed, IMAGE, SIZE_MAX)


def test_the_packed_form_is_the_one_of_the_page():
    packed = pack(b"head" + PHOTO)
    assert packed[0] == 1
    assert packed[1:2] == varint.encode(4)
    assert packed[2:6] == varint.encode(len(PHOTO))
    assert packed[6:10] == b"head"
    assert packed[10:22].hex() == "0000000c4a584c200d0a870a"
    assert parse(packed) == (b"head", len(PHOTO), packed[10:])


def test_more_pixels_than_the_limit_are_not_transcoded():
    large = bytearray(PHOTO)
    at = large.index(b"\xff\xc0") + 5
    large[at : at + 4] = struct.pack(">HH", 4096, PIXELS_MAX // 4096 + 1)
    with pytest.raises(FormatError, match=f"at most {PIXELS_MAX}"):
        pack(bytes(large))
    large[at : at + 4] = struct.pack(">HH", 0, 100)
    with pytest.raises(FormatError, match="100 x 0 pixels"):
        pack(bytes(large))


@pytest.mark.parametrize(
    "sides", [(64, 64), (640, 480), (256, 2048), (4096, 16), (8, 8), (9, 600), (300, 200), (199, 398)]
)
def test_the_pixels_that_a_codestream_declares(sides):
    """All forms of the header: multiples of 8, known ratios, and neither."""
    _, _, jxl = parse(pack(jpeg(*sides)))
    stream = b"".join(body[4:] for kind, body in picture._boxes(jxl) if kind == b"jxlp")
    assert picture._pixels(stream) == sides[0] * sides[1]


def stream_of(height_bits, width_bits):
    """Return a codestream that declares both sides by 30 bits each."""
    value, at = 0, 0
    for number, count in ((0, 1), (3, 2), (height_bits, 30), (0, 3), (3, 2), (width_bits, 30)):
        value, at = value | number << at, at + count
    return b"\xff\x0a" + value.to_bytes(10, "little")


def test_a_codestream_that_declares_more_pixels_than_the_limit_is_refused_before_libjxl_sees_it(monkeypatch):
    bodies = [(kind, body) for kind, body in picture._boxes(parse(pack(PHOTO))[2]) if kind != b"jxlp"]
    huge = stream_of((1 << 30) - 1, (1 << 30) - 1)
    assert picture._pixels(huge) == 1 << 60
    file = b"".join(struct.pack(">I", 8 + len(b)) + k + b for k, b in [*bodies, (b"jxlc", huge)])
    monkeypatch.setitem(__import__("sys").modules, "pillow_jxl", None)
    with pytest.raises(FormatError, match="pixels; at most"):
        unpack(b"\x01\x00" + varint.encode(len(PHOTO)) + file, IMAGE, SIZE_MAX)


def test_markers_up_to_the_limit():
    def listed(count):
        value = 0
        for at in range(count):
            value |= (0x19 if at == count - 1 else 0x20) << (1 + 6 * at)
        return value.to_bytes(1 + MARKERS_MAX, "little")

    picture._check_markers(listed(MARKERS_MAX))
    for wrong in (listed(MARKERS_MAX + 1), b"", b"\xff" * 2000):
        with pytest.raises(FormatError):
            picture._check_markers(wrong)


def test_a_jpeg_of_many_markers_is_left_alone():
    many = PHOTO[:2] + b"\xff\xfe\x00\x03x" * MARKERS_MAX + PHOTO[2:]
    assert pack_best(PICTURE, many)[0] != IMAGE


def test_a_picture_that_declares_more_than_the_reader_takes_is_refused_at_the_limit():
    packed = pack(b"head" + PHOTO)
    assert len(unpack(packed, IMAGE, 4 + len(PHOTO))) == 4 + len(PHOTO)
    with pytest.raises(FormatError, match="at most"):
        unpack(packed, IMAGE, 3 + len(PHOTO))


@pytest.mark.parametrize("said", [0, 1, len(PHOTO) - 1, len(PHOTO) + 1])
def test_a_size_that_is_not_the_one_of_the_jpeg_is_refused(said):
    _, _, jxl = parse(pack(PHOTO))
    with pytest.raises(FormatError, match="declares a JPEG of"):
        unpack(b"\x01\x00" + varint.encode(said) + jxl, IMAGE, SIZE_MAX)


@pytest.mark.parametrize(
    "wrong", [b"", b"\x00", b"\x02rest", b"\x01", b"\x01\xff", b"\x01\x00\x05", b"\x01\x05\x05abc"]
)
def test_what_is_no_packed_picture(wrong):
    with pytest.raises(FormatError):
        unpack(wrong, IMAGE, SIZE_MAX)


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False))
def test_damage_is_a_format_error_or_another_jpeg_within_bounds(dice: random.Random):
    damaged = bytearray(SMALL_PACKED)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(damaged))
        damaged[at : at + dice.randrange(4)] = dice.randbytes(dice.randrange(4))
    with contextlib.suppress(FormatError):
        assert len(unpack(bytes(damaged), IMAGE, 1 << 16)) <= 1 << 16


SMALL_PACKED = pack(jpeg(48, 32))


@pytest.mark.parametrize("at", range(0, len(SMALL_PACKED), 97))
def test_a_packed_picture_that_is_cut_short(at):
    with pytest.raises(FormatError):
        unpack(SMALL_PACKED[:at], IMAGE, 1 << 16)


def test_an_entry_carries_a_picture_packed_and_leaves_it_packed_until_somebody_looks():
    """A stranger's picture costs nothing before that, and its neighbours are read whatever it holds."""
    secret, public = seal_pair(bytes(range(32)))
    tag, note = Picture("image/jpeg", "a.jpg", PHOTO).to_tag(), entry.Tag(kinds.DATABASE, kinds.NOTE, b"beside it")
    pieces = entry.seal_entry(0, [tag, note], b"seed", public, lambda size: bytes(range(size)))
    assert sum(len(piece.data) for piece in pieces) < 0.9 * len(PHOTO)
    opened = entry.open_entry(pieces, b"seed", secret)
    assert not opened.faults
    assert opened.tags[0].codec == IMAGE
    assert opened.tags[1] == note
    assert codec.unpack(opened.tags[0].data, IMAGE, SIZE_MAX) == tag.data
