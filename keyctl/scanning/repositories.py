"""Searches all that a Git repository has ever held: every object once, also those that no branch reaches any more.

Git is run as a program, in a way that nothing in the repository makes it run another one, or use the network.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from keyctl.errors import NotFound
from keyctl.scanning.hits import Hit
from keyctl.scanning.places import Collected, Place
from keyctl.scanning.search import Searcher
from keyctl.scanning.streams import search_stream

_SETTINGS = {
    "GIT_ALLOW_PROTOCOL": "none",  # before 2.45, Git has no GIT_NO_LAZY_FETCH
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
# What a repository may have set, and makes these commands run a program that it names.
_OVERRIDDEN = ("core.fsmonitor=false", "log.showSignature=false")
# A hook has these for its own repository, and a path is given here. Where new objects are while they are received,
# GIT_OBJECT_DIRECTORY, is kept.
_OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX")
_SMALL = 8 << 20  # bytes of an object that is read at once

_Found = tuple[Hit, int, int]  # with line and column


class Repository:
    """A repository. Raises NotFound if there is none, or no Git.

    Attributes:
        path: The path that was given.
        shallow: Whether it has only a part of its history.
        partial: Whether some of its objects are only on a server.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        facts = self._ask("rev-parse", "--is-shallow-repository", "--git-dir")
        self.shallow = facts.startswith("true")
        self.partial = bool(
            self._ask("config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$", empty=True)
        )

    def scan(self, searcher: Searcher, collected: Collected) -> None:
        """Search every blob, tree, commit and tag."""
        found: dict[str, tuple[str, list[_Found]]] = {}
        for name, kind, size, read in self._objects(collected):
            hits = list(_search(searcher, size, read))
            collected.files += kind == "blob"
            collected.searched(size)
            if hits:
                found[name] = kind, hits
        origins = self._origins({name for name, (kind, _) in found.items() if kind in ("blob", "tree")})
        for name, (kind, hits) in found.items():
            for hit, line, column in hits:
                collected.found(hit, self._place(searcher, name, kind, (hit, line, column), origins.get(name)))

    def _place(self, searcher: Searcher, name: str, kind: str, found: _Found, origin: tuple[str, str] | None) -> Place:
        hit, line, column = found
        if kind == "commit":
            return Place(self.path, line, column, hit.encoding, name, "commit message")
        if origin is None:
            unreachable = ", which no branch or tag reaches" if kind == "blob" else ""
            return Place(self.path, line, column, hit.encoding, None, f"{kind} {name[:12]}{unreachable}")
        commit, path = origin
        if kind == "tree":
            return Place(searcher.masked(path), None, None, hit.encoding, commit, "name of the file")
        return Place(searcher.masked(path), line, column, hit.encoding, commit)

    def _objects(self, collected: Collected) -> Iterator[tuple[str, str, int, Callable[[int], bytes]]]:
        """Yield each object: its name, kind and size, and what reads it. It must be read before the next one."""
        with self._running("cat-file", "--batch-all-objects", "--unordered", "--buffer", "--batch") as process:
            output = process.stdout
            while output is not None and (header := output.readline()):
                name, *facts = header.decode("ascii").split()
                if len(facts) != 2:
                    collected.not_read(f"{self.path}: the object {name} is damaged")
                    continue
                kind, size = facts[0], int(facts[1])
                yield name, kind, size, _Content(output, size).read
                output.read(1)
            if process.wait():
                collected.not_read(f"{self.path}: git ended early; see git -C {self.path} fsck")

    def _origins(self, names: set[str]) -> dict[str, tuple[str, str]]:
        """Return for each blob or tree the first commit that has it, and its path there."""
        if not names:
            return {}
        origins: dict[str, tuple[str, str]] = {}
        log = ("log", "--all", "--topo-order", "--reverse", "--root", "-m", "--raw", "-t", "-z", "--no-abbrev")
        with self._running(*log, "--no-renames", "--no-notes", "--format=%H") as process:
            commit = ""
            fields = _fields(process.stdout)
            for field in fields:
                if b":" not in field:
                    commit = field.strip().decode("ascii")
                    continue
                name, path = field.split()[3].decode("ascii"), next(fields, b"")
                if name in names and name not in origins:
                    origins[name] = commit, os.fsdecode(path)
                    if len(origins) == len(names):
                        break
        return origins

    def _ask(self, *args: str, empty: bool = False) -> str:
        """Run a command that answers at once. With `empty`, it may find nothing."""
        try:
            done = subprocess.run(
                self._command(args), env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
        except OSError as error:
            raise NotFound(
                f"cannot run git: {error.strerror}", hint="install Git, or omit --git to search files"
            ) from None
        if done.returncode and not (empty and done.returncode == 1):
            said = done.stderr.decode("utf-8", "replace").strip().split("\n")[0].removeprefix("fatal: ")
            raise NotFound(f"cannot read a Git repository at {self.path}: {said}", hint="to search files, omit --git")
        return done.stdout.decode("utf-8", "replace")

    @contextmanager
    def _running(self, *args: str) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(
            self._command(args),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=1 << 20,
        )
        try:
            yield process
        finally:
            if process.stdout is not None:
                process.stdout.close()
            process.kill()
            process.wait()

    def _command(self, args: Iterable[str]) -> list[str]:
        settings = [word for one in _OVERRIDDEN for word in ("-c", one)]
        return ["git", "--no-pager", *settings, "-C", self.path, *args]


class _Content:
    """The content of one object, in the output of Git. Ends early where that does."""

    def __init__(self, output: IO[bytes], size: int) -> None:
        self._output = output
        self._left = size

    def read(self, most: int) -> bytes:
        data = self._output.read(min(most, self._left))
        self._left -= len(data)
        return data


def _search(searcher: Searcher, size: int, read: Callable[[int], bytes]) -> Iterator[_Found]:
    if size > _SMALL:
        yield from search_stream(searcher, read)
        return
    data = read(size)
    for hit in searcher.search(data):
        yield hit, data.count(b"\n", 0, hit.offset) + 1, hit.offset - data.rfind(b"\n", 0, hit.offset)


def _fields(output: IO[bytes] | None) -> Iterator[bytes]:
    """Yield what is separated by NUL."""
    rest = b""
    while output is not None and (block := output.read(1 << 16)):
        *fields, rest = (rest + block).split(b"\0")
        yield from fields
    if rest:
        yield rest


def _environment() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER} | _SETTINGS
