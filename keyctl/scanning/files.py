"""Searches files and folders: all of them, whatever they hold."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import BinaryIO, NamedTuple

from keyctl.scanning import worker
from keyctl.scanning.pieces import Lines, Piece, PieceHit, PieceResult, together
from keyctl.scanning.places import Collected, Place
from keyctl.scanning.search import Searcher
from keyctl.scanning.streams import search_stream
from keyctl.scanning.workers import Task, Workers

_PIECE = 16 << 20  # bytes that one process searches at a time
_FILES = 100  # small files that one process searches at a time
_LONGEST_TASK = 16 << 10  # characters of paths in a task


class _Found(NamedTuple):
    """A hit in a piece, whose line depends on the lines of the pieces before it."""

    piece: Piece
    hit: PieceHit


def scan_files(searcher: Searcher, paths: Sequence[str], collected: Collected) -> None:
    """Search files, and folders with all that is below them. Links are not followed, except `paths` themselves.

    What cannot be read is noted in `collected`, and so is what is left aside in folders: links, pipes, sockets and
    devices. One of `paths` that is a pipe, socket or device counts as what cannot be read.
    """
    found: list[_Found] = []
    with closing(Workers(searcher)) as workers:
        for task, answers in workers.perform(_tasks(_pieces(searcher, paths, collected))):
            for piece, answer in zip(task.pieces, answers, strict=True):
                if isinstance(answer, str):
                    collected.not_read(f"{searcher.masked(piece.path)}: {answer}")
                elif isinstance(answer, PieceResult):
                    collected.searched(answer.size)
                    found += [_Found(piece, hit) for hit in answer.hits]
            found = _report_complete(searcher, found, collected)
        _report_the_rest(searcher, workers, found, collected)


def scan_stream(searcher: Searcher, stream: BinaryIO, collected: Collected) -> None:
    """Search a stream to its end, in constant memory. Its path is `-`."""

    def read(most: int) -> bytes:
        data = stream.read(most)
        collected.searched(len(data))
        return data

    collected.files += 1
    try:
        for hit, line, column in search_stream(searcher, read):
            collected.found(hit, Place("-", line, column, hit.encoding))
    except OSError as error:
        collected.not_read(f"standard input: {error.strerror}")


def _pieces(searcher: Searcher, paths: Iterable[str], collected: Collected) -> Iterator[tuple[Piece, int]]:
    """Yield every file in pieces, each with its size; look for keys in their names as they pass by."""
    for path in paths:
        for name, size in _walk(path, collected):
            collected.files += 1
            for hit in searcher.search(os.fsencode(name)):
                collected.found(hit, Place(searcher.masked(name), encoding=hit.encoding, kind="name of the file"))
            if size == 0:
                yield Piece(name, 0, None), 0
            for start in range(0, size, _PIECE):
                yield Piece(name, start, min(start + _PIECE, size)), min(_PIECE, size - start)


def _walk(path: str, collected: Collected) -> Iterator[tuple[str, int]]:
    """Yield the files at and below a path, each with its size."""
    try:
        status = os.stat(path)  # noqa: PTH116 - surrogates in a path are kept
    except OSError as error:
        collected.not_read(f"{path}: {error.strerror}")
        return
    if stat.S_ISREG(status.st_mode):
        yield from _file(path, status, collected)
        return
    if not stat.S_ISDIR(status.st_mode):
        collected.not_read(f"{path}: it is a pipe, socket or device; standard input is -")
        return
    folders = [path]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            collected.not_read(f"{folder}: {error.strerror}")
            continue
        below = []
        for entry in entries:
            if entry.name == ".git":
                collected.repositories.append(folder)
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed since it was listed
            except OSError as error:
                collected.not_read(f"{entry.path}: {error.strerror}")
                continue
            if stat.S_ISDIR(status.st_mode):
                below.append(entry.path)
            else:
                yield from _file(entry.path, status, collected)
        folders += reversed(below)


def _file(path: str, status: os.stat_result, collected: Collected) -> Iterator[tuple[str, int]]:
    if stat.S_ISREG(status.st_mode):
        yield path, status.st_size
    elif stat.S_ISLNK(status.st_mode):
        collected.links += 1
    else:
        collected.special += 1


def _tasks(pieces: Iterable[tuple[Piece, int]]) -> Iterator[Task]:
    """Join the pieces of small files to tasks."""
    joined: list[Piece] = []
    size = length = 0
    for piece, bytes_ in pieces:
        if joined and (size + bytes_ > _PIECE or len(joined) == _FILES or length > _LONGEST_TASK):
            yield Task(worker.SEARCH, joined, size)
            joined, size, length = [], 0, 0
        joined.append(piece)
        size, length = size + bytes_, length + len(piece.path)
    if joined:
        yield Task(worker.SEARCH, joined, size)


def _report_complete(searcher: Searcher, found: Iterable[_Found], collected: Collected) -> list[_Found]:
    """Report what is in the first piece of a file; return the rest."""
    rest = []
    for one in found:
        if one.piece.start == 0:
            _report(searcher, one, Lines(0, None), collected)
        else:
            rest.append(one)
    return rest


def _report_the_rest(searcher: Searcher, workers: Workers, found: Sequence[_Found], collected: Collected) -> None:
    """Count the lines in the pieces before each hit, and report it."""
    needed: dict[str, int] = {}
    for one in found:
        needed[one.piece.path] = max(needed.get(one.piece.path, 0), one.piece.start)
    tasks = (
        Task(worker.COUNT, [Piece(path, start, start + _PIECE)], _PIECE)
        for path, stop in needed.items()
        for start in range(0, stop, _PIECE)
    )
    lines: dict[tuple[str, int], Lines] = {}
    for task, answers in workers.perform(tasks):
        [piece], [answer] = task.pieces, answers
        lines[piece.path, piece.start] = answer if isinstance(answer, Lines) else Lines(0, None)
    before: dict[tuple[str, int], Lines] = {}
    for path, stop in needed.items():
        total = Lines(0, None)
        for start in range(0, stop, _PIECE):
            total = together(total, lines[path, start])
            before[path, start + _PIECE] = total
    for one in found:
        _report(searcher, one, before[one.piece.path, one.piece.start], collected)


def _report(searcher: Searcher, one: _Found, before: Lines, collected: Collected) -> None:
    hit, lines = one.hit
    begins = lines.last if lines.last is not None else before.last or 0
    place = Place(
        searcher.masked(one.piece.path), before.ended + lines.ended + 1, hit.offset - begins + 1, encoding=hit.encoding
    )
    collected.found(hit, place)
