from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from keyctl.admin.delivery import FileDelivery, Minted, StreamDelivery
from keyctl.admin.merged_file import MergedFileDelivery
from keyctl.errors import NotDelivered, Refused
from tests.samples import FORMATS, record

TEXTS = [made.text for made in FORMATS["standard"].generate(3, env="live")]
MINTED = [Minted(record(), text) for text in TEXTS]
CONTENT = "".join(f"{text}\n" for text in TEXTS)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "keys.txt"


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused_by_device(_: str) -> None:
    raise OSError("no space left")


def test_what_was_minted_does_not_show_its_text():
    for one in MINTED:
        for shown in (repr(one), str(one), f"{[one]}"):
            assert one.text not in shown
            assert FORMATS["standard"].parse(one.text).secret not in shown
            assert one.record.key.phc not in shown


# ── to a stream ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_gets_the_keys_in_one_piece_and_only_when_they_are_handed_over():
    written: list[str] = []
    delivery = StreamDelivery(written.append, lambda minted: "".join(f"{one.text}\n" for one in minted))

    delivery.prepare(MINTED)
    before = list(written)
    delivery.hand_over()

    assert before == []
    assert written == [CONTENT]


@pytest.mark.parametrize("end", ["hand_over", "abandon"])
def test_nothing_keeps_the_text_of_a_stream_afterwards(end: str):
    delivery = StreamDelivery(lambda _: None, lambda minted: minted[0].text)
    delivery.prepare(MINTED)

    getattr(delivery, end)()

    assert TEXTS[0] not in str(vars(delivery))


def test_a_stream_that_failed_keeps_no_text():
    delivery = StreamDelivery(refused_by_device, lambda minted: minted[0].text)
    delivery.prepare(MINTED)

    with pytest.raises(OSError, match="no space left"):
        delivery.hand_over()

    assert TEXTS[0] not in str(vars(delivery))


# ── to a file ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_appears_complete_and_only_when_it_is_handed_over(out: Path):
    delivery = FileDelivery(out)

    delivery.prepare(MINTED)
    before = out.exists()
    delivery.hand_over()

    assert before is False
    assert out.read_text() == CONTENT
    assert files(out.parent) == ["keys.txt"]


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_a_file_is_its_owners_alone_from_the_first_moment(out: Path, umask: int, *, replace: bool):
    delivery = FileDelivery(out, replace=replace)
    previous = os.umask(umask)
    try:
        delivery.prepare(MINTED)
        [temporary] = out.parent.iterdir()
        before = stat.S_IMODE(temporary.stat().st_mode)
        delivery.hand_over()
    finally:
        os.umask(previous)

    assert before == stat.S_IMODE(out.stat().st_mode) == 0o600 & ~umask


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_is_abandoned_leaves_nothing(out: Path, *, replace: bool):
    delivery = FileDelivery(out, replace=replace)
    delivery.prepare(MINTED)

    delivery.abandon()
    delivery.abandon()

    assert files(out.parent) == []


def test_a_file_prepared_again_is_delivered_once(out: Path):
    delivery = FileDelivery(out)

    delivery.prepare(MINTED[:1])
    delivery.prepare(MINTED[1:])
    delivery.hand_over()

    assert out.read_text() == f"{TEXTS[1]}\n{TEXTS[2]}\n"
    assert files(out.parent) == ["keys.txt"]


def test_an_existing_file_is_refused_and_left_as_it_was(out: Path):
    out.write_text("precious")

    with pytest.raises(Refused) as error:
        FileDelivery(out).prepare(MINTED)

    assert error.value.message == f"{out} already exists"
    assert "--force" in error.value.hint
    assert out.read_text() == "precious"
    assert files(out.parent) == ["keys.txt"]


@pytest.mark.parametrize("target", ["keys.txt", "nowhere", "elsewhere.txt"])
def test_a_link_is_an_existing_file_wherever_it_leads(out: Path, target: str):
    (out.parent / "elsewhere.txt").write_text("precious")
    out.symlink_to(target)

    with pytest.raises(Refused):
        FileDelivery(out).prepare(MINTED)

    assert (out.parent / "elsewhere.txt").read_text() == "precious"
    assert files(out.parent) == ["elsewhere.txt", "keys.txt"]


def test_a_file_that_appeared_meanwhile_is_not_destroyed(out: Path):
    delivery = FileDelivery(out)
    delivery.prepare(MINTED)
    out.write_text("precious")

    with pytest.raises(FileExistsError):
        delivery.hand_over()
    delivery.abandon()

    assert out.read_text() == "precious"
    assert files(out.parent) == ["keys.txt"]


def test_an_existing_file_is_replaced_when_asked_for(out: Path):
    out.write_text("old")
    out.chmod(0o644)
    delivery = FileDelivery(out, replace=True)

    delivery.prepare(MINTED)
    before = out.read_text()
    delivery.hand_over()

    assert before == "old"
    assert out.read_text() == CONTENT
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert files(out.parent) == ["keys.txt"]


@pytest.mark.parametrize("target", ["elsewhere.txt", "nowhere"])
def test_a_link_is_never_replaced(out: Path, target: str):
    elsewhere = out.parent / "elsewhere.txt"
    elsewhere.write_text("precious")
    out.symlink_to(target)

    with pytest.raises(Refused, match="is a link, a device or a pipe"):
        FileDelivery(out, replace=True).prepare(MINTED)

    assert elsewhere.read_text() == "precious"
    assert str(out.readlink()) == target
    assert files(out.parent) == ["elsewhere.txt", "keys.txt"]


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_is_refused_with_what_to_type(out: Path, *, replace: bool):
    out.mkdir()

    with pytest.raises(Refused) as error:
        FileDelivery(out, replace=replace).prepare(MINTED)

    assert error.value.message == f"{out} is a folder"
    assert error.value.hint == f"give a file: --out {out}/KEYFILE"
    assert files(out) == []


@pytest.mark.parametrize("name", ["missing/keys.txt", "file/keys.txt", "x" * 300, "x" * 250])
def test_a_file_that_cannot_be_made_is_reported_before_any_key_is_made(tmp_path: Path, name: str):
    (tmp_path / "file").touch()

    with pytest.raises(NotDelivered) as error:
        FileDelivery(tmp_path / name).prepare(MINTED)

    assert error.value.message.startswith("cannot write ")
    assert "no key was minted" in error.value.hint
    assert not [text for text in TEXTS if text in f"{error.value.message} {error.value.hint}"]
    assert files(tmp_path) == ["file"]


def test_nothing_is_handed_over_that_was_not_prepared(out: Path):
    with pytest.raises(RuntimeError):
        FileDelivery(out).hand_over()

    assert files(out.parent) == []


# ── into a file that holds more ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("before", [None, b"OTHER=1\n"])
def test_a_file_is_as_it_was_before_if_an_interruption_comes_right_after_the_key(out: Path, before: bytes | None):
    if before is not None:
        out.write_bytes(before)
    delivery = MergedFileDelivery(out, lambda content, one: content + one.text.encode(), seconds=1)
    delivery.prepare(MINTED[:1])
    delivery.hand_over()

    delivery.abandon()

    assert (out.read_bytes() if out.exists() else None) == before
    assert TEXTS[0] not in repr(vars(delivery))
