"""What `--fix` changes: files of one's own, of the right kind, and never through a link."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from keyctl.doctor import files
from keyctl.doctor.finding import Finding

LEFT = ".k.0123456789abcdef"


def repair(finding: Finding) -> None:
    assert finding.repair
    finding.repair()


def left_behind(folder: Path) -> Finding:
    (folder / LEFT).touch(0o600)
    os.utime(folder / LEFT, (time.time() - files.SETTLED - 1,) * 2)
    [finding] = files.leftovers([folder])
    return finding


def too_open(path: Path) -> Finding:
    path.chmod(0o4744)
    [finding] = files.exposed(path, "the file", 0o600)
    return finding


def test_only_the_bits_of_others_are_removed(tmp_path: Path):
    (tmp_path / "file").touch()
    finding = too_open(tmp_path / "file")
    assert finding.fix == f"chmod 4700 {tmp_path}/file"

    repair(finding)

    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o4700


def test_a_mode_is_never_changed_through_a_link(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    finding = too_open(tmp_path / "link")

    with pytest.raises(OSError, match="symbolic links"):
        repair(finding)

    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o744


def test_the_mode_of_a_pipe_is_not_changed(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    finding = too_open(tmp_path / "pipe")

    with pytest.raises(OSError, match="not a regular file"):
        repair(finding)

    assert (tmp_path / "pipe").stat().st_mode & 0o777 == 0o744


def test_what_belongs_to_another_user_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    findings = [too_open(tmp_path / "file"), left_behind(tmp_path)]
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)

    for finding in findings:
        with pytest.raises(OSError, match="belongs to another user"):
            repair(finding)

    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o744
    assert (tmp_path / LEFT).exists()


def test_a_leftover_that_became_a_link_stays_and_so_does_what_it_leads_to(tmp_path: Path):
    finding = left_behind(tmp_path)
    (tmp_path / LEFT).unlink()
    (tmp_path / "precious").touch()
    (tmp_path / LEFT).symlink_to("precious")

    with pytest.raises(OSError, match="not a regular file"):
        repair(finding)

    assert sorted(path.name for path in tmp_path.iterdir()) == [LEFT, "precious"]


def test_a_leftover_that_is_written_again_stays(tmp_path: Path):
    finding = left_behind(tmp_path)
    os.utime(tmp_path / LEFT)

    with pytest.raises(OSError, match="changed in the last 10 minutes"):
        repair(finding)

    assert (tmp_path / LEFT).exists()


def test_a_folder_is_searched_once_and_one_that_is_missing_not_at_all(tmp_path: Path):
    left_behind(tmp_path)
    (tmp_path / "file").touch()

    assert len(list(files.leftovers([tmp_path, tmp_path / "missing", tmp_path / "file", tmp_path]))) == 1
