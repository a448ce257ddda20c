"""The file of a recorder: private, whole lines, rotated, also with several processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from keyctl.errors import StoreUnavailable, UsageError
from keyctl.usage.files import UsageFile
from tests.stores import names

ROOT = Path(__file__).parent.parent.parent
WRITER = """
import sys
from pathlib import Path
from keyctl.usage.files import UsageFile

file = UsageFile(Path(sys.argv[1]), max_bytes=2000, keep=90)
for number in range(200):
    file.append(f"{sys.argv[2]} {number:03} " + "x" * 80)
"""


def usage_file(path: Path, *, max_bytes: int = 1000, keep: int = 3) -> UsageFile:
    return UsageFile(path, max_bytes=max_bytes, keep=keep)


def test_a_file_is_for_its_owner_alone(tmp_path: Path):
    usage_file(tmp_path / "u").append("one")

    assert (tmp_path / "u").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "u").read_text() == "one\n"


def test_a_full_file_is_renamed_and_the_oldest_one_is_removed(tmp_path: Path):
    file = usage_file(tmp_path / "u", max_bytes=10, keep=2)
    for line in ("first", "second", "third", "fourth"):
        file.append(line)

    assert names(tmp_path) == ["u", "u.1", "u.2"]
    assert [(tmp_path / name).read_text() for name in names(tmp_path)] == ["fourth\n", "third\n", "second\n"]


@pytest.mark.parametrize(("max_bytes", "keep"), [(10, 0), (10, -1), (0, 1)])
def test_a_file_that_would_never_have_room_for_a_line_is_refused(tmp_path: Path, max_bytes: int, keep: int):
    with pytest.raises(UsageError, match="a usage file needs"):
        usage_file(tmp_path / "u", max_bytes=max_bytes, keep=keep)


def test_a_line_that_was_cut_off_by_a_crash_stays_at_the_end_of_its_file(tmp_path: Path):
    (tmp_path / "u").write_text('one\n{"half')

    usage_file(tmp_path / "u").append("two")

    assert (tmp_path / "u").read_text() == "two\n"
    assert (tmp_path / "u.1").read_text() == 'one\n{"half'


def test_a_line_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path):
    code = (
        "import resource, signal, sys; from pathlib import Path; from keyctl.usage.files import UsageFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "file = UsageFile(Path(sys.argv[1]), max_bytes=10**6, keep=1)\n"
        "file.append('one')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
        "try: file.append('x' * 100)\n"
        "except Exception as error: print(type(error).__name__)\n"
        "file.append('two')\n"
    )
    path = tmp_path / "u"

    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, check=True, capture_output=True, text=True)

    assert done.stdout == "StoreUnavailable\n"
    assert path.read_text() == "one\ntwo\n"


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "no folder"])
def test_what_is_not_a_file_is_refused_at_once(tmp_path: Path, kind: str):
    path = tmp_path / "u"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "folder":
        path.mkdir()
    else:
        path = tmp_path / "missing" / "u"

    with pytest.raises(StoreUnavailable, match=f"cannot write the usage file {path}"):
        usage_file(path).check()


def test_several_processes_write_whole_lines_and_lose_none(tmp_path: Path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "u", name], cwd=ROOT) for name in ("a", "b", "c")
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]

    assert len(names(tmp_path)) > 20
    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert sorted(line.rpartition(" ")[0] for line in lines) == [f"{name} {i:03}" for name in "abc" for i in range(200)]


def test_threads_write_whole_lines(tmp_path: Path):
    file = usage_file(tmp_path / "u", max_bytes=500, keep=50)
    threads = [threading.Thread(target=lambda: [file.append("x" * 40) for _ in range(30)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()] == ["x" * 40] * 120
