"""Runs the tasks of a search on all cores: in this process if there is little to do, else in processes of their own."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from keyctl.scanning import worker
from keyctl.scanning.pieces import Lines, Piece, PieceResult
from keyctl.scanning.search import Searcher

_ALONE = 16 << 20  # bytes: less takes less time than another process takes to start
_ENDED = "a process of the search ended early"


class Task(NamedTuple):
    """Pieces to search, or to count the lines of; `size` is how many bytes they have in all."""

    what: str
    pieces: Sequence[Piece]
    size: int


Answers = Sequence[PieceResult | Lines | str]


class Workers:
    """Performs tasks. `close` ends the processes, whatever they are doing."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._processes: list[subprocess.Popen[bytes]] = []
        self._done = 0

    def perform(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Answers]]:
        """Yield each task with its answers, in any order: for each piece what it has, or why it could not be read."""
        waiting = iter(tasks)
        for task in waiting:
            if self._done + task.size > _ALONE:
                yield from self._with_processes(task, waiting)
                return
            self._done += task.size
            yield task, [worker.perform(self._searcher, task.what, piece) for piece in task.pieces]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):  # what could not be written to a process that has ended
                        pipe.close()
            process.wait()
        self._processes = []

    def _with_processes(self, first: Task, rest: Iterator[Task]) -> Iterator[tuple[Task, Answers]]:
        """Give each process one task at a time: what is sent is short, and never fills a pipe that no one reads."""
        self._start()
        with selectors.DefaultSelector() as selector:
            busy: dict[int, tuple[subprocess.Popen[bytes], Task]] = {}
            idle = [process for process in self._processes if process.poll() is None]
            task: Task | None = first
            while task or busy:
                while task and idle:
                    process = idle.pop()
                    if _send(process, task):
                        busy[_output(process)] = process, task
                        selector.register(_output(process), selectors.EVENT_READ)
                        task = next(rest, None)
                if task and not busy:  # no process is left
                    yield task, [_ENDED] * len(task.pieces)
                    task = next(rest, None)
                    continue
                for key, _ in selector.select():
                    process, done = busy.pop(key.fd)
                    selector.unregister(key.fd)
                    line = process.stdout.readline() if process.stdout else b""
                    if line.endswith(b"\n"):
                        idle.append(process)
                        yield done, [worker.read_answer(done.what, one) for one in json.loads(line)]
                    else:
                        yield done, [_ENDED] * len(done.pieces)

    def _start(self) -> None:
        if self._processes:
            return
        formats = json.dumps([one.to_dict() for one in self._searcher.formats]).encode() + b"\n"
        for _ in range(len(os.sched_getaffinity(0))):
            # -P: a module in the working directory is never imported.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", worker.__name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            self._processes.append(process)
            _write(process, formats)


def _send(process: subprocess.Popen[bytes], task: Task) -> bool:
    return _write(process, json.dumps([task.what, task.pieces]).encode() + b"\n")


def _write(process: subprocess.Popen[bytes], line: bytes) -> bool:
    try:
        if process.stdin is not None:
            process.stdin.write(line)
            process.stdin.flush()
    except OSError:
        return False
    return True


def _output(process: subprocess.Popen[bytes]) -> int:
    if process.stdout is None:
        raise RuntimeError("a process of the search has no output")
    return process.stdout.fileno()
