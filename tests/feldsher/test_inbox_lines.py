"""What `kit status` and `kit inbox` show of an inbox, in words."""

from feldsher.kit_inbox import brief

HERE = {"taken": 0, "known": 0, "left": 0, "later": 0, "failed": 0}


def inbox(**facts):
    plain = {"name": "stick", "path": "/media/usb", "trouble": "", "there": True, "files": 0, "here": HERE}
    return plain | {"waiting_count": 0, "waiting": [], "notes": [], "last": []} | facts


def test_a_line_says_what_became_of_the_files_and_what_waits():
    here = HERE | {"taken": 4, "left": 1}
    assert brief([inbox(files=6, here=here, waiting_count=2)]) == [
        "inbox stick: 6 files, 4 taken, 1 left, 1 waiting (`kit inbox`)"
    ]
    assert brief([inbox(files=1, here=HERE | {"known": 1})]) == ["inbox stick: 1 file, 1 taken before"]
    assert brief([inbox(files=2, here=HERE | {"failed": 2}, waiting_count=2)]) == [
        "inbox stick: 2 files, 2 failed (`kit inbox`)"
    ]


def test_a_place_that_is_empty_broken_or_too_full_says_so():
    assert brief([inbox(there=False)]) == ["inbox stick: nothing is at /media/usb"]
    assert brief([inbox(trouble="it cannot be read: Input/output error")]) == [
        "inbox stick: it cannot be read: Input/output error"
    ]
    assert brief([inbox(notes=["there are more files than are looked at: take some away"])]) == [
        "inbox stick: 0 files, there are more files than are looked at: take some away"
    ]
    assert brief([]) == []
