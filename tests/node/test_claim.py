"""Two processes never open one data folder: the second is told which and why."""

import subprocess
import sys

import pytest

from node.claim import claim
from wire.errors import UsageError

HOLDER = """
import sys, pathlib
from node.claim import claim
with claim(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_process_is_told_and_the_first_one_s_death_frees_the_folder(tmp_path):
    words = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="another process uses this data folder"), claim(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with claim(tmp_path):
            pass


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(UsageError, match="none: cannot be opened: No such file"), claim(tmp_path / "none"):
        pass
