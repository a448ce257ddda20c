from __future__ import annotations

import io
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyctl
from keyctl.bundles.format import (
    _MAX_BLOCK,
    FAN_OUT,
    MAX_FIRST_LINE,
    TABLES,
    BundleDamaged,
    FirstLine,
    Reference,
    TableReader,
    TableWriter,
    from_base64url,
    read_block,
    read_first_line,
    read_json,
    read_references,
    signed_bytes,
    to_base64url,
    to_json,
    write_first_line,
)
from tests.fuzzing import examples, mutated

SPECIFICATION = Path(keyctl.__file__).parent / "help/bundle-format.md"
SIGNER, SIGNATURE = bytes(range(32)), bytes(range(64))
LINE = write_first_line(SIGNER, SIGNATURE, b'{"a": 1}')


def table(path: Path, rows: list[tuple[str, dict[str, Any]]]) -> list[Reference]:
    with path.open("wb") as file:
        return TableWriter(file).write_table(rows)


def numbered(count: int) -> list[tuple[str, dict[str, Any]]]:
    return [(f"name{i:09}", {"n": i}) for i in range(count)]


# ── the first line ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_line_reads_back_as_it_was_written():
    assert read_first_line(io.BytesIO(LINE + b"more")) == FirstLine(SIGNER, SIGNATURE, b'{"a": 1}', len(LINE))


def test_the_format_is_as_documented():
    assert LINE.split(b" ")[0] == b"keyctl-bundle-v1"
    assert LINE.split(b" ")[1] == b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert signed_bytes(b"{}") == b"keyctl-bundle-v1\n{}"
    specification = " ".join(SPECIFICATION.read_text().split())
    assert f"{MAX_FIRST_LINE:,} bytes" in specification
    assert f"at most {FAN_OUT} references" in specification
    assert f"at most {FAN_OUT} rows" in specification
    assert f"{_MAX_BLOCK // 2**20} MiB at most" in specification
    assert f"`{'`, `'.join(TABLES)}` | three tables" in specification


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"   \n",
        b"\0" * 1000,
        b"\x1f\x8b\x08" + bytes(100) + b"\n",
        LINE[:-1],
        LINE[:50],
        b" " + LINE,
        LINE.replace(b" ", b"  ", 1),
        LINE.replace(b" ", b"\t"),
        LINE.replace(b"keyctl-bundle-v1", b"keyctl-bundle-v2"),
        LINE.replace(b"keyctl-bundle-v1", b"KEYCTL-BUNDLE-V1"),
        LINE.replace(b"AAEC", b"AAE"),
        LINE.replace(b"AAEC", b"AAEC="),
        LINE.replace(b"AAEC", b"AA\xffEC"),
        LINE.replace(b"Hh8 ", b"Hh9 "),  # bits beyond the last byte
        LINE.replace(b"Hh8 ", b"Hh8= "),
        write_first_line(SIGNER[:31], SIGNATURE, b"{}"),
        write_first_line(SIGNER, SIGNATURE + b"x", b"{}"),
        LINE[:-1] + b"x" * MAX_FIRST_LINE + b"\n",
    ],
)
def test_near_misses_of_a_first_line_are_refused(line: bytes):
    with pytest.raises(BundleDamaged):
        read_first_line(io.BytesIO(line))


def test_a_newer_version_says_what_to_do():
    with pytest.raises(BundleDamaged, match="upgrade keyctl"):
        read_first_line(io.BytesIO(LINE.replace(b"v1", b"v2")))


def test_no_more_of_a_first_line_is_read_than_it_may_be_long(tmp_path: Path):
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.write(b"keyctl-bundle-v1 ")
        file.truncate(100 * 1024 * 1024)

    with path.open("rb", buffering=0) as file:
        with pytest.raises(BundleDamaged, match="longer than 262,144 bytes"):
            read_first_line(file)  # type: ignore[arg-type]
        assert file.tell() <= MAX_FIRST_LINE + 1


@pytest.mark.parametrize("length", [0, 1, 2, 3, 32, 64])
def test_keys_read_back_as_they_were_written(length: int):
    raw = os.urandom(length)

    assert from_base64url(to_base64url(raw).encode(), length) == raw


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000, FAN_OUT * FAN_OUT, FAN_OUT * FAN_OUT + 1])
def test_every_row_is_found_and_no_other(tmp_path: Path, count: int):
    path, rows = tmp_path / "table", numbered(count)
    indexes = table(path, rows)

    with path.open("rb") as file:
        reader = TableReader(file, 0, indexes)
        for i in {0, 1, 254, 255, 256, 257, 511, 512, count // 2, count - 2, count - 1, FAN_OUT * FAN_OUT} & set(
            range(count)
        ):
            assert reader.find(rows[i][0]) == {"n": i}
            assert reader.find(rows[i][0] + "x") is None
            assert reader.find(rows[i][0][:-1]) is None
        for absent in ("", "a", "name", "zzz", "name000000000\0", "\U0010ffff"):
            assert reader.find(absent) is None
        assert list(reader.every()) == rows
    assert len(indexes) == -(-count // (FAN_OUT * FAN_OUT))


def test_names_ascend_by_code_point(tmp_path: Path):
    names = sorted(["A", "Z", "_", "a", "z", "é", "Ω", "\uffff", "\U0001f642"])
    path = tmp_path / "table"

    indexes = table(path, [(name, {}) for name in names])

    assert names == sorted(names, key=str.encode)  # as SQLite and PostgreSQL's "C" collation sort
    with path.open("rb") as file:
        assert [name for name, _ in TableReader(file, 0, indexes).every()] == names


@pytest.mark.parametrize("names", [["b", "a"], ["a", "a"], [""]])
def test_rows_out_of_order_are_not_written(names: list[str]):
    with pytest.raises(BundleDamaged, match="out of order"):
        TableWriter(io.BytesIO()).write_table([(name, {}) for name in names])


def test_large_rows_make_small_blocks(tmp_path: Path):
    path, rows = tmp_path / "table", [(f"{i:03}", {"text": "x" * 300_000}) for i in range(100)]

    indexes = table(path, rows)

    with path.open("rb") as file:
        row_blocks = read_references(read_json(read_block(file, 0, indexes[0])))
        assert max(block.length for block in row_blocks) < 2 * 1024 * 1024
        assert list(TableReader(file, 0, indexes).every()) == rows


@pytest.mark.parametrize("count", [1000, 100_000])
def test_a_look_up_reads_one_index_and_one_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int):
    path = tmp_path / "table"
    indexes = table(path, numbered(count))
    reads: list[int] = []
    pread = os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        reads.append(length)
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    with path.open("rb") as file:
        assert TableReader(file, 0, indexes).find(f"name{count - 1:09}") == {"n": count - 1}

    assert len(reads) == 2
    assert sum(reads) < 40_000


def one_block(tmp_path: Path, lines: bytes, *, first: str = "a", index: Any = None) -> TableReader:
    """A table of one block, whatever that says, under digests that are right."""
    path = tmp_path / "table"
    block = [first, 0, len(lines), sha256(lines).hexdigest()]
    content = to_json([block] if index is None else index)
    path.write_bytes(lines + content)
    reference = Reference(first, len(lines), len(content), sha256(content).hexdigest())
    return TableReader(path.open("rb"), 0, [reference])


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"\n",
        b"nonsense\n",
        b'["a"]\n',
        b'["a",1]\n',
        b"[1,{}]\n",
        b'{"a":{}}\n',
        b'["b",{}]\n',  # the index says a
        b'["a",{}]\n\n["b",{}]\n',
        b'["a",{}]\n["a",{}]\n',
        b'["a",{}]\n["c",{}]\n["b",{}]\n',
        b"[" * 100_000 + b"\n",
        b'["a",{"n":' + b"9" * 5000 + b"}]\n",
        b'["a",{"n":"\xff"}]\n',
    ],
)
def test_a_block_that_no_keyctl_wrote_is_refused(tmp_path: Path, lines: bytes):
    reader = one_block(tmp_path, lines)

    for read in (lambda: reader.find("a"), lambda: list(reader.every())):
        with pytest.raises(BundleDamaged):
            read()
    reader._file.close()


DIGEST = sha256(b"").hexdigest()


@pytest.mark.parametrize(
    "index",
    [
        [],
        {},
        None,
        [["a", 0, 0]],
        [["a", 0, 0, DIGEST, 1]],
        [["a", "0", 0, DIGEST]],
        [["a", 0.0, 0, DIGEST]],
        [["a", True, 0, DIGEST]],
        [[None, 0, 0, DIGEST]],
        [["a", 0, -1, DIGEST]],
        [["a", -1, 0, DIGEST]],
        [["a", 0, 10**12, DIGEST]],
        [["a", 10**30, 0, DIGEST]],
        [["a", 2**63 - 1, 1, DIGEST]],
        [["a", 2**60, 1, DIGEST]],
        [["a", float("nan"), 0, DIGEST]],
        [["a", float("inf"), 0, DIGEST]],
        [["b", 0, 0, DIGEST]],
        [["a", 0, 0, DIGEST], ["a", 0, 0, DIGEST]],
        [["a", 0, 0, DIGEST], ["c", 0, 0, DIGEST], ["b", 0, 0, DIGEST]],
    ],
)
def test_an_index_that_no_keyctl_wrote_is_refused(tmp_path: Path, index: Any):
    reader = one_block(tmp_path, b"", index=index if index is not None else [None])

    for name in ("a", "b", "zzz"):
        with pytest.raises(BundleDamaged):
            reader.find(name)
    reader._file.close()


def test_a_pipe_is_refused_and_not_waited_for():
    reader, writer = os.pipe()
    os.write(writer, LINE)
    os.close(writer)

    with os.fdopen(reader, "rb") as file:
        first = read_first_line(file)
        with pytest.raises(BundleDamaged, match="cannot be read"):
            read_block(file, first.length, Reference("", 0, 1, DIGEST))


@examples(100, 10_000)
@given(mutated(st.just(LINE)))
def test_a_first_line_is_refused_or_reads_as_it_is_written(raw: bytes):
    try:
        line = read_first_line(io.BytesIO(raw))
    except BundleDamaged:
        return

    assert write_first_line(line.signer, line.signature, line.header) == raw[: line.length]
