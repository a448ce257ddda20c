from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from keyctl.errors import NotFound
from keyctl.profiles.files import load_profile
from keyctl.scanning import repositories
from keyctl.scanning.places import Collected, Place
from keyctl.scanning.repositories import Repository
from keyctl.scanning.search import Searcher

FORMAT = load_profile("standard").key_format
SEARCHER = Searcher([FORMAT])


def key() -> str:
    return FORMAT.generate(1, env="live")[0].text


def git(folder: Path, *args: str) -> str:
    who = ("-c", "user.name=jo", "-c", "user.email=jo@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *who, *args], cwd=folder, capture_output=True, check=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "-q")
    return folder


def commit(work: Path, message: str = "change", **files: str | None) -> str:
    for name, content in files.items():
        if content is None:
            (work / name).unlink()
        else:
            (work / name).write_text(content)
    git(work, "add", "-A")
    git(work, "commit", "-q", "--allow-empty", "-m", message)
    return git(work, "rev-parse", "HEAD")


def scanned(path: Path) -> list[tuple[str, Place]]:
    found: list[tuple[str, Place]] = []
    Repository(str(path)).scan(SEARCHER, Collected(lambda hit, place: found.append((hit.text, place))))
    return sorted(found, key=lambda one: one[1].order)


def test_a_key_that_was_removed_is_found_with_the_first_commit_that_had_it(work: Path):
    text = key()
    commit(work, a="nothing")
    first = commit(work, a=f"x\n  key={text}\n")
    commit(work, a=f"x\n  key={text}\n", b="more")
    commit(work, a=None)

    assert scanned(work) == [(text, Place("a", 2, 7, "", first))]


def test_a_key_on_another_branch_in_a_merge_and_in_a_stash_is_found(work: Path):
    texts = [key() for _ in range(3)]
    commit(work, a="1")
    git(work, "checkout", "-q", "-b", "other")
    other = commit(work, b=texts[0])
    git(work, "checkout", "-q", "-")
    commit(work, a="2")
    git(work, "merge", "-q", "--no-commit", "other")
    merge = commit(work, "merge", c=texts[1])
    (work / "a").write_text(texts[2])
    git(work, "stash", "-q")

    found = dict(scanned(work))

    assert found[texts[0]] == Place("b", 1, 1, "", other)
    assert found[texts[1]] == Place("c", 1, 1, "", merge)
    assert found[texts[2]].path == "a"


def test_a_key_in_a_message_a_tag_and_a_name_is_found(work: Path):
    texts = [key() for _ in range(3)]
    (work / "folder").mkdir()
    commit(work, "begin")
    told = commit(work, f"use {texts[0]}\n\nfor now")
    git(work, "tag", "-a", "v1", "-m", f"with {texts[1]}")
    (work / "folder" / texts[2]).write_text("x")
    named = commit(work, "add")

    found = dict(scanned(work))

    assert (found[texts[0]].kind, found[texts[0]].commit) == ("commit message", told)
    assert found[texts[1]].kind.startswith("tag ")
    assert found[texts[2]] == Place("folder", None, None, "", named, "name of the file")


def test_a_key_that_no_branch_reaches_any_more_is_found(work: Path):
    text = key()
    commit(work, a="1")
    commit(work, a=text)
    git(work, "reset", "-q", "--hard", "HEAD^")
    git(work, "reflog", "expire", "--expire=now", "--all")

    [(found, place)] = scanned(work)

    assert found == text
    assert place.kind.endswith(", which no branch or tag reaches")


def test_a_bare_repository_is_searched_and_a_shallow_one_says_that_it_is(work: Path, tmp_path: Path):
    text = key()
    commit(work, a=text)
    commit(work, a="gone")
    git(tmp_path, "clone", "-q", "--bare", str(work), "bare")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{work}", "shallow")

    assert [found for found, _ in scanned(tmp_path / "bare")] == [text]
    assert not Repository(str(tmp_path / "bare")).shallow
    assert Repository(str(tmp_path / "shallow")).shallow
    assert scanned(tmp_path / "shallow") == []


def test_a_large_object_is_searched_in_parts(work: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(repositories, "_SMALL", 1000)
    text = key()
    first = commit(work, a="x\n" * 1000 + text, b="y" * 5000)

    assert scanned(work) == [(text, Place("a", 1001, 1, "", first))]


def test_an_empty_repository_has_no_keys(work: Path):
    assert scanned(work) == []


def test_what_is_no_repository_is_refused(tmp_path: Path):
    with pytest.raises(NotFound, match="not a git repository"):
        Repository(str(tmp_path))


def test_without_git_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotFound, match="cannot run git"):
        Repository(str(tmp_path))


def test_the_repository_of_a_hook_is_not_mistaken_for_the_one_that_is_named(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    commit(work, a=key())
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(work / ".git"))

    assert scanned(tmp_path / "other") == []


def test_a_repository_cannot_make_git_run_a_program(work: Path, tmp_path: Path):
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    program.chmod(0o755)
    for setting in (
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "diff.external",
        "diff.x.textconv",
        "core.editor",
    ):
        git(work, "config", setting, str(program))
    commit(work, a=key(), **{".gitattributes": "* diff=x\n"})
    ran.unlink(missing_ok=True)

    assert len(scanned(work)) == 1
    assert not ran.exists()


def test_the_signature_of_a_commit_is_not_checked_by_a_program_of_the_repository(work: Path, tmp_path: Path):
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    program.chmod(0o755)
    git(work, "config", "log.showSignature", "true")
    git(work, "config", "gpg.program", str(program))
    signed = git(work, "cat-file", "commit", commit(work, a=key())).replace(
        "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n", 1
    )
    (tmp_path / "commit").write_text(signed)
    git(work, "update-ref", "HEAD", git(work, "hash-object", "-t", "commit", "-w", str(tmp_path / "commit")))

    assert len(scanned(work)) == 1
    assert not ran.exists()


def test_what_a_partial_clone_lacks_is_not_fetched_by_a_program_of_the_repository(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(repositories._SETTINGS, "GIT_NO_LAZY_FETCH")  # as for a Git that does not know it
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    commit(work, file="1")
    git(work, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--bare", "--filter=tree:0", f"file://{work}", "partial")
    git(tmp_path / "partial", "hash-object", "-w", str(_file(tmp_path, key())))
    git(tmp_path / "partial", "config", "remote.origin.uploadpack", str(program))

    assert len(scanned(tmp_path / "partial")) == 1
    assert not ran.exists()


def _file(folder: Path, content: str) -> Path:
    path = folder / "content"
    path.write_text(content)
    return path


def test_a_damaged_object_is_named_and_the_others_are_searched(work: Path):
    text = key()
    commit(work, a="x" * 5000, b=text)
    name = git(work, "rev-parse", "HEAD:a")
    loose = work / f".git/objects/{name[:2]}/{name[2:]}"
    loose.chmod(0o600)
    os.truncate(loose, 4)

    found: list[str] = []
    collected = Collected(lambda hit, _: found.append(hit.text))
    Repository(str(work)).scan(SEARCHER, collected)

    assert found == [text]
    assert collected.unread[0] == f"{work}: the object {name} is damaged"
