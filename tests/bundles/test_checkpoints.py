from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyctl.bundles.checkpoints import read_checkpoints, write_checkpoint
from keyctl.bundles.format import signed_bytes, to_base64url
from keyctl.bundles.signing import SigningKey, Trust
from keyctl.errors import CheckFailed
from keyctl.history import Checkpoint, Position

NEW = Checkpoint(Position("store_01ABC", 17, "0f" * 32, "a1" * 32), datetime(2026, 7, 1, 12, 0, 0, 5000, tzinfo=UTC))
WORDS = f"store_01ABC 17 2026-07-01T12:00:00.005Z {'0f' * 32} {'a1' * 32}"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.create(tmp_path_factory.mktemp("key") / "bundle.key")


@pytest.fixture(scope="module")
def trust(key: SigningKey) -> list[Trust]:
    return [Trust(key.public_bytes)]


@pytest.fixture(scope="module")
def line(key: SigningKey) -> str:
    return write_checkpoint(NEW, key)


def reason(text: str, trust: list[Trust]) -> str:
    with pytest.raises(CheckFailed) as error:
        read_checkpoints(text, "file", trust)
    assert error.value.exit_code == 9
    return error.value.message


def test_a_checkpoint_is_one_line_of_words_and_a_signature_over_them(key: SigningKey, line: str):
    signature = to_base64url(key.sign(f"keyctl-checkpoint-v1\n{WORDS}".encode()))

    assert line == f"keyctl-checkpoint-v1 {WORDS} {key.public_text} {signature}"


def test_what_is_written_reads_back(line: str, trust: list[Trust]):
    assert read_checkpoints(line, "file", trust) == [NEW]


@given(
    seq=st.integers(1, 10**18 - 1),
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    at=st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)),  # noqa: DTZ001 - the zone is set below
)
def test_any_checkpoint_reads_back(key: SigningKey, trust: list[Trust], seq: int, digest: str, at: datetime):
    at = at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
    one = Checkpoint(Position("store_x", seq, digest, digest[::-1]), at)

    assert read_checkpoints(write_checkpoint(one, key), "file", trust) == [one]


@pytest.mark.parametrize(
    "paste",
    [
        lambda line: f"{line}\n{line}\n",
        lambda line: f"Ticket 42\r\n\r\n{line}\r\n-- \r\nJo, on call, wrote: {line} (from the weekend)",
        lambda line: "\n    ".join([*line.split(), *line.split()]),
        lambda line: f"\ufeff\t{line}  {line}",
    ],
)
def test_a_checkpoint_survives_a_ticket_and_a_mail(line: str, trust: list[Trust], paste: Callable[[str], str]):
    assert read_checkpoints(paste(line), "file", trust) == [NEW, NEW]


def test_a_word_left_out_added_or_altered_is_never_accepted(line: str, trust: list[Trust]):
    words = line.split(" ")
    for i in range(1, len(words)):
        for altered in ([], ["x", words[i]], [words[i][:-1]], [words[i][:-1] + ("0" if words[i][-1] != "0" else "1")]):
            assert reason(" ".join([*words[:i], *altered, *words[i + 1 :]]), trust), (i, altered)
    for i in range(len("keyctl-checkpoint-v1 "), len(line), 7):
        assert reason(line[:i], trust) == "checkpoint 1 in file cannot be read: it was truncated or altered"


@pytest.mark.parametrize("text", ["", "\n", "no checkpoint here", "keyctl-checkpoint-v2 x", "keyctl-bundle-v1 x y {}"])
def test_a_text_without_a_checkpoint_is_an_error(text: str, trust: list[Trust]):
    assert reason(text, trust) == "no checkpoint in file"


def test_one_that_cannot_be_trusted_makes_the_others_worth_nothing(line: str, trust: list[Trust]):
    assert reason(f"{line}\n{line.replace(' 17 ', ' 18 ')}", trust) == (
        "the signature of checkpoint 2 in file is wrong: it was altered"
    )


def test_another_signer_is_not_trusted(tmp_path: Path, line: str, key: SigningKey):
    other = SigningKey.create(tmp_path / "other.key")

    assert reason(line, [Trust(other.public_bytes)]) == (
        f"checkpoint 1 in file is signed by {key.public_text}, which is not trusted"
    )
    assert reason(line, []).endswith("which is not trusted")


def test_a_signer_may_be_trusted_for_one_store(line: str, key: SigningKey):
    assert read_checkpoints(line, "file", [Trust(key.public_bytes, "store_01ABC")]) == [NEW]
    assert reason(line, [Trust(key.public_bytes, "store_other")]) == (
        "the signer of checkpoint 1 in file is not trusted for its store: store_01ABC"
    )


def test_a_signature_of_a_bundle_is_not_one_of_a_checkpoint(key: SigningKey, trust: list[Trust]):
    signature = to_base64url(key.sign(signed_bytes(WORDS.encode())))

    assert "is wrong" in reason(f"keyctl-checkpoint-v1 {WORDS} {key.public_text} {signature}", trust)


@pytest.mark.parametrize(
    "words",
    [
        WORDS.replace(" 17 ", " 017 "),
        WORDS.replace(" 17 ", " 0 "),
        WORDS.replace(" 17 ", " -17 "),
        WORDS.replace(" 17 ", f" {'9' * 5000} "),
        WORDS.replace("0f0f", "0F0F"),
        WORDS.replace("a1a1", "a1"),
        WORDS.replace(".005Z", ""),
        WORDS.replace(".005Z", ".0050Z"),
        WORDS.replace(".005Z", ".005+00:00"),
        WORDS.replace("2026-07-01", "2026-13-01"),
    ],
)
def test_words_that_keyctl_does_not_write_are_refused_although_they_are_signed(
    key: SigningKey, trust: list[Trust], words: str
):
    signature = to_base64url(key.sign(f"keyctl-checkpoint-v1\n{words}".encode()))

    assert re.search("cannot be read", reason(f"keyctl-checkpoint-v1 {words} {key.public_text} {signature}", trust))
