from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyctl import private_files
from tests.stores import names


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def device_full() -> Iterator[bytes]:
    yield b"half"
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(autouse=True)
def no_umask() -> Iterator[None]:
    previous = os.umask(0)
    yield
    os.umask(previous)


@pytest.mark.parametrize("write", [private_files.write_new, private_files.replace], ids=lambda write: write.__name__)
def test_a_file_is_its_owners_alone_and_holds_all_that_was_given(tmp_path: Path, write):
    write(tmp_path / "file", [b"one ", b"two"])

    assert (tmp_path / "file").read_bytes() == b"one two"
    assert mode(tmp_path / "file") == 0o600
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("write", [private_files.write_new, private_files.replace], ids=lambda write: write.__name__)
def test_a_file_that_cannot_be_written_completely_leaves_nothing(tmp_path: Path, write):
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "file", device_full())

    assert names(tmp_path) == []


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_new_file_takes_the_place_of_nothing_and_follows_no_link(tmp_path: Path, target: str):
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "link").symlink_to(target)

    for name in ("elsewhere", "link"):
        with pytest.raises(FileExistsError):
            private_files.create(tmp_path / name)
        with pytest.raises(FileExistsError):
            private_files.write_new(tmp_path / name, [b"new"])

    assert (tmp_path / "elsewhere").read_text() == "precious"
    assert names(tmp_path) == ["elsewhere", "link"]


def test_a_replaced_file_is_a_new_one_and_keeps_its_content_if_the_new_one_fails(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)

    with pytest.raises(OSError, match="No space left"):
        private_files.replace(path, device_full())
    kept = path.read_text()
    private_files.replace(path, [b"new"])

    assert kept == "old"
    assert path.read_text() == "new"
    assert mode(path) == 0o600
    assert names(tmp_path) == ["file"]


def test_a_file_that_cannot_be_replaced_leaves_no_temporary_one(tmp_path: Path):
    (tmp_path / "folder").mkdir()

    with pytest.raises(IsADirectoryError):
        private_files.replace(tmp_path / "folder", [b"new"])

    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_a_file_that_is_moved_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    temporary, path = tmp_path / "temporary", tmp_path / "file"
    temporary.write_text("new")

    path.write_text("precious")
    with pytest.raises(OSError, match="File exists" if links else "not permitted"):
        private_files.move_without_replacing(temporary, path)
    kept = path.read_text()
    path.unlink()
    private_files.move_without_replacing(temporary, path)

    assert kept == "precious"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["file"]


def test_names_of_temporary_files_are_hidden_in_the_same_folder_and_never_the_same(tmp_path: Path):
    first, second = (private_files.temporary_beside(tmp_path / "file") for _ in range(2))

    assert first.parent == second.parent == tmp_path
    assert first.name.startswith(".file.")
    assert first != second
