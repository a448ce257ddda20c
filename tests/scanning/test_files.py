from __future__ import annotations

import os
import socket
from base64 import b64encode
from pathlib import Path

import pytest

from keyctl.profiles.files import load_profile
from keyctl.scanning import files, workers
from keyctl.scanning.files import scan_files
from keyctl.scanning.hits import Hit
from keyctl.scanning.places import Collected, Place
from keyctl.scanning.search import Searcher

FORMAT = load_profile("standard").key_format
SEARCHER = Searcher([FORMAT])


def key() -> str:
    return FORMAT.generate(1, env="live")[0].text


def scanned(*paths: Path) -> tuple[list[tuple[str, Place]], Collected]:
    found: list[tuple[str, Place]] = []

    def note(hit: Hit, place: Place) -> None:
        found.append((hit.text, place))

    collected = Collected(note)
    scan_files(SEARCHER, [str(path) for path in paths], collected)
    return sorted(found, key=lambda one: one[1].order), collected


def test_every_file_below_a_folder_is_searched_whatever_it_holds(tmp_path: Path):
    keys = [key() for _ in range(4)]
    (tmp_path / ".hidden/deep").mkdir(parents=True)
    (tmp_path / ".hidden/deep/a.env").write_text(f"A=1\nB={keys[0]}\n")
    (tmp_path / "b.bin").write_bytes(b"\0\xff" * 1000 + keys[1].encode() + b"\0")
    (tmp_path / "c.yaml").write_bytes(b"data:\n  key: " + b64encode(keys[2].encode()))
    (tmp_path / "no-permission-bits").write_text(keys[3])

    found, collected = scanned(tmp_path)

    assert found == [
        (keys[0], Place(f"{tmp_path}/.hidden/deep/a.env", 2, 3)),
        (keys[1], Place(f"{tmp_path}/b.bin", 1, 2001)),
        (keys[2], Place(f"{tmp_path}/c.yaml", 2, 8, "base64")),
        (keys[3], Place(f"{tmp_path}/no-permission-bits", 1, 1)),
    ]
    assert (collected.files, collected.unread_count) == (4, 0)


def test_what_is_left_aside_is_counted(tmp_path: Path):
    (tmp_path / "a").write_text(key())
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(tmp_path / "socket"))

        found, collected = scanned(tmp_path)

    assert len(found) == 1
    assert (collected.links, collected.special, collected.files) == (2, 2, 1)


def test_a_pipe_that_is_named_itself_is_not_taken_for_searched(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    collected = Collected(lambda *_: None)
    scan_files(SEARCHER, [str(pipe)], collected)

    assert collected.unread == [f"{pipe}: it is a pipe, socket or device; standard input is -"]


def test_a_link_that_is_named_is_followed(tmp_path: Path):
    (tmp_path / "a").write_text(key())
    (tmp_path / "link").symlink_to("a")

    assert len(scanned(tmp_path / "link")[0]) == 1


def test_a_repository_is_noted(tmp_path: Path):
    (tmp_path / "project/.git").mkdir(parents=True)

    assert scanned(tmp_path)[1].repositories == [f"{tmp_path}/project"]


def test_a_file_that_is_gone_is_named(tmp_path: Path):
    assert scanned(tmp_path / "gone")[1].unread == [f"{tmp_path}/gone: No such file or directory"]


def test_a_key_in_the_name_of_a_file_is_found_and_not_shown(tmp_path: Path):
    text = key()
    (tmp_path / f"{text}.txt").write_text("x")

    [(found, place)] = scanned(tmp_path)[0]

    assert found == text
    assert (place.path, place.kind) == (f"{tmp_path}/{text[:20]}….txt", "name of the file")


def test_a_file_of_proc_that_tells_no_size_is_searched():
    found, collected = scanned(Path("/proc/self/status"))

    assert (found, collected.unread_count) == ([], 0)
    assert collected.bytes > 500


@pytest.mark.parametrize("alone", [True, False], ids=["in this process", "in processes of their own"])
def test_a_large_file_is_searched_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool):
    monkeypatch.setattr(files, "_PIECE", 10_000)
    monkeypatch.setattr(workers, "_ALONE", 1 << 30 if alone else 0)
    expected, line, content = [], 1, ""
    for i in range(40):
        text = key()
        expected.append((text, Place(f"{tmp_path}/large", line, len(content) - content.rfind("\n"))))
        content += text + "." * (i * 37 % 1500) + "\n" * (i % 3)
        line += i % 3
    (tmp_path / "large").write_text(content + "." * 9_000)

    found, collected = scanned(tmp_path / "large")

    assert found == sorted(expected, key=lambda one: one[1].order)
    assert collected.bytes == len(content) + 9_000


def test_a_process_that_ends_early_leaves_its_files_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "_ALONE", 0)
    monkeypatch.setattr(workers.sys, "executable", "/bin/false")
    for name in "ab":
        (tmp_path / name).write_text(key())

    found, collected = scanned(tmp_path)

    assert found == []
    assert collected.unread == [f"{tmp_path}/{name}: a process of the search ended early" for name in "ab"]
