"""`feldsher tags` as a user meets it: what it prints, which exit code, and that it never overwrites."""

import json

import pytest

from feldsher.main import main
from feldsher.sample import sample
from feldsher.tagfile import UNPACKED_SIZE_MAX, inner_tags
from wire import codec, kinds
from wire.checks import STUDY, parse_check
from wire.errors import FormatError
from wire.split import split
from wire.stream import StreamReader, StreamWriter, Verdict
from wire.tag import TAGS, Tag, encode

TOTAL = 300


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sample.study"
    path.write_bytes(b"".join(sample(TOTAL, 1)))
    return path


def damaged(file, at=50_000):
    data = bytearray(file.read_bytes())
    data[at] ^= 4
    del data[9_000:9_100]
    path = file.with_name("damaged")
    path.write_bytes(data)
    return path


def checked(capsys, path, *words):
    capsys.readouterr()
    code = main(["tags", "check", "--json", str(path), *words])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("tags", [4, 5, 6, 11, 12, 128, 300, 777])
def test_a_sample_has_exactly_the_tags_asked_for_and_is_sound(tmp_path, capsys, tags):
    path = tmp_path / "new"
    assert main(["tags", "sample", str(path), "--tags", str(tags), "--seed", "3"]) == 0
    code, said = checked(capsys, path)
    assert (code, len(said["tags"]), said["sound"], said["bytes_lost"]) == (0, tags, tags, 0)


def test_a_sample_holds_what_readers_stumble_over():
    raws = [one.raw for one in StreamReader().feed(b"".join(sample(TOTAL, 1)))]
    assert max(map(len, raws)) > 65_535
    assert any(len(raw) < 12 for raw in raws)
    assert any(raw.count(0) > 1000 for raw in raws)
    assert any(raw.count(0xA7) > 500 for raw in raws)
    pictures = [raw for raw in raws if raw[18:22] == b"\xff\x01\x01\x01"]
    inner = StreamReader()
    assert {one.verdict for one in inner.feed(pictures[0][8:]) + inner.finish()} == {Verdict.SOUND}


def test_the_same_seed_gives_the_same_sample():
    assert b"".join(sample(50, 1)) == b"".join(sample(50, 1)) != b"".join(sample(50, 2))


def test_check_lists_each_tag_with_its_place_and_type(file, capsys):
    code, said = checked(capsys, file)
    assert code == 0
    assert said["tags"][0] == {
        "number": 0,
        "offset": 0,
        "type": "00ff:0001",
        "name": "START",
        "length": 30,
        "verdict": "sound",
        "ordinal": 0,
    }
    ends = [tag["offset"] + tag["length"] for tag in said["tags"]]
    assert ends[:-1] == [tag["offset"] for tag in said["tags"][1:]]
    assert said["totals"]["all_sound"] is True


def test_check_of_a_damaged_file_names_what_is_lost_and_ends_with_65(file, capsys):
    code, said = checked(capsys, damaged(file))
    lost = [tag for tag in said["tags"] if tag["verdict"] == "lost"]
    assert code == 65
    assert said["bytes_lost"] == sum(tag["length"] for tag in lost) > 0
    assert said["sound"] + len(lost) == TOTAL
    assert main(["tags", "check", str(damaged(file))]) == 65
    assert "LOST" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty"), (b"what is this? no tags here", "not a tag file"), (bytes(9), "not a tag file")],
)
def test_a_file_without_tags_is_refused_with_what_is_wrong(tmp_path, capsys, content, says):
    path = tmp_path / "other"
    path.write_bytes(content)
    for words in (["check"], ["check", "--json"], ["show"], ["repair", "--out", str(tmp_path / "o")]):
        assert main(["tags", *words[:1], str(path), *words[1:]]) == 65
        assert says in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("words", [["check"], ["show"], ["repair", "--out", "new"], ["export", "--all", "--into", "d"]])
def test_a_missing_file_is_the_users_mistake(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    assert main(["tags", *words[:1], "nowhere", *words[1:]]) == 64
    assert "nowhere: No such file" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_repair_keeps_exactly_the_sound_tags(file, tmp_path, capsys):
    broken, whole = damaged(file), tmp_path / "whole"
    _, before = checked(capsys, broken)
    assert main(["tags", "repair", str(broken), "--out", str(whole), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    code, after = checked(capsys, whole)
    assert (code, after["bytes_lost"]) == (0, 0)
    assert report["bytes_given_up"] == before["bytes_lost"]
    old, new = broken.read_bytes(), whole.read_bytes()
    assert content(before, old) == content(after, new)
    assert report["kept"] == len(content(after, new))


def content(said, data):
    sound = (tag for tag in said["tags"] if tag["verdict"] == "sound" and tag["name"] != "CHECK")
    return [data[tag["offset"] : tag["offset"] + tag["length"]] for tag in sound]


def test_a_sound_file_is_repaired_to_itself(file, tmp_path):
    assert main(["tags", "repair", str(file), "--out", str(tmp_path / "same")]) == 0
    assert (tmp_path / "same").read_bytes() == file.read_bytes()


@pytest.mark.parametrize("known", [False, True])
def test_repair_of_a_file_without_its_start_writes_one(file, tmp_path, capsys, known):
    data = file.read_bytes()
    broken = file.with_name("headless")
    broken.write_bytes(bytes(30) + data[30:])
    words = ["--id", data[14:30].hex()] if known else []
    assert main(["tags", "repair", str(broken), "--out", str(tmp_path / "new"), *words]) == 0
    code, said = checked(capsys, tmp_path / "new")
    assert (code, said["tags"][0]["name"]) == (0, "START")
    assert said["totals"]["seed"] == data[14:18].hex()


def test_repair_keeps_unproven_tags_only_when_told(tmp_path, capsys):
    writer = StreamWriter(bytes(range(16)), STUDY, 1)
    note = Tag(kinds.DATABASE, kinds.NOTE, b"not committed")
    path = tmp_path / "torn"
    path.write_bytes(writer.start() + writer.put(note) + writer.check() + writer.put(note) + encode(note)[:9])
    for words, kept, given_up in (([], 2, 28), (["--unproven"], 3, 9)):
        out = tmp_path / f"new{kept}"
        capsys.readouterr()
        assert main(["tags", "repair", str(path), "--out", str(out), "--json", *words]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["kept"], report["bytes_given_up"]) == (kept, given_up)
        assert checked(capsys, out)[0] == 0


def test_nothing_is_ever_overwritten(file, tmp_path, capsys):
    there = tmp_path / "there"
    there.write_bytes(b"mine")
    assert main(["tags", "repair", str(file), "--out", str(there)]) == 64
    assert main(["tags", "sample", str(there)]) == 64
    assert there.read_bytes() == b"mine"
    assert main(["tags", "repair", str(file), "--out", str(file)]) == 64
    assert main(["tags", "export", str(file), "--tag", "1", "--into", str(tmp_path / "d")]) == 0
    assert main(["tags", "export", str(file), "--tag", "1", "--into", str(tmp_path / "d")]) == 64
    assert "never overwritten" in capsys.readouterr().err


def test_export_writes_the_data_of_every_sound_tag(file, tmp_path, capsys):
    _, said = checked(capsys, file)
    assert main(["tags", "export", str(file), "--all", "--into", str(tmp_path / "d")]) == 0
    names = sorted(path.name for path in (tmp_path / "d").iterdir())
    assert len(names) == sum(tag["name"] != "CHECK" for tag in said["tags"])
    assert names[0] == "000000-00ff-0001-start.bin"


def test_export_joins_a_datum_that_was_split(tmp_path):
    writer, data = StreamWriter(bytes(range(16)), STUDY, 1), bytes(range(256)) * 9000
    path = tmp_path / "large"
    picture = Tag(kinds.IMAGE, kinds.PICTURE, data)
    path.write_bytes(writer.start() + b"".join(map(writer.put, split(picture))) + writer.finish())
    assert main(["tags", "export", str(path), "--all", "--into", str(tmp_path / "d")]) == 0
    exported = [one.read_bytes() for one in sorted((tmp_path / "d").iterdir())]
    assert exported[1:] == [data]


def test_export_of_a_tag_that_is_not_there_is_told(file, tmp_path, capsys):
    assert main(["tags", "export", str(file), "--tag", "5000", "--into", str(tmp_path / "d")]) == 64
    assert "tag 5000 is not there" in capsys.readouterr().err


def test_show_prints_the_tree(file, capsys):
    assert main(["tags", "show", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "START" in lines[0]
    assert any(line.startswith(" " * 27) and "RAW" in line for line in lines)


def test_show_goes_on_after_a_container_that_cannot_be_read(tmp_path, capsys):
    writer = StreamWriter(bytes(range(16)), STUDY, 1)
    path = tmp_path / "odd"
    odd = [
        Tag(kinds.SERVICE, kinds.SEALED, b"no tags", state=TAGS),
        Tag(kinds.SERVICE, kinds.SEALED, b"?", state=TAGS | 1),
    ]
    path.write_bytes(writer.start() + b"".join(map(writer.put, odd)) + writer.finish())
    assert main(["tags", "show", str(path)]) == 0
    assert capsys.readouterr().out.count("cannot be read") == 2


def test_containers_are_unpacked_within_a_limit():
    inner = encode(Tag(kinds.DATABASE, kinds.NOTE, b"x" * 100))
    packed = codec.pack(inner, codec.ZSTD)
    assert [tag.data for tag in inner_tags(Tag(9, 9, packed, state=TAGS | codec.ZSTD))] == [b"x" * 100]
    bomb = codec.pack(bytes(UNPACKED_SIZE_MAX + 1), codec.ZSTD)
    with pytest.raises(FormatError):
        inner_tags(Tag(9, 9, bomb, state=TAGS | codec.ZSTD))


def test_a_signature_at_the_end_is_for_its_key_to_prove(tmp_path, capsys):
    writer = StreamWriter(bytes(range(16)), STUDY, 1)
    path = tmp_path / "signed"
    path.write_bytes(writer.start() + writer.check() + writer.put(Tag(kinds.SERVICE, kinds.SIGNATURE, bytes(72))))
    code, said = checked(capsys, path)
    assert (code, said["unproven"], said["totals"]["signature_unchecked"]) == (0, 1, True)
    assert said["totals"]["all_sound"] is False


def test_the_id_tells_which_stream_a_file_is(tmp_path, capsys):
    inner = b"".join(sample(20, 1, large=False))
    path = tmp_path / "inner"
    path.write_bytes(inner)
    assert checked(capsys, path, "--id", inner[14:30].hex())[0] == 0
    assert checked(capsys, path, "--id", "00" * 16)[1]["sound"] == 0
    with pytest.raises(SystemExit):
        main(["tags", "check", str(path), "--id", "xyz"])


@pytest.mark.parametrize("action", ["show", "check", "repair", "export", "sample"])
def test_every_action_has_help_with_an_example(action, capsys):
    with pytest.raises(SystemExit):
        main(["tags", action, "--help"])
    assert f"example: feldsher tags {action}" in capsys.readouterr().out


def test_checks_of_a_sample_reach_back(file):
    raws = [one.raw for one in StreamReader().feed(file.read_bytes())]
    reach = [check.ordinal - check.first for raw in raws if (check := parse_check(raw, 0))]
    assert max(reach) > 10
