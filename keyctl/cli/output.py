"""Everything that is printed. stdout is the answer and nothing else; notes, warnings and errors go to stderr."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keyctl import private_files
from keyctl.cli.streams import sync
from keyctl.errors import Aborted, KeyctlError, NotDelivered, Refused
from keyctl.text import visible

if TYPE_CHECKING:
    from keyctl.cli.screen import Style

_AT_ONCE = 1000  # lines


class Output:
    """What a command prints. `json_errors` is whether errors are JSON: of a command that was asked for any JSON."""

    def __init__(
        self, *, json: bool, quiet: bool, color: bool, pager: bool = True, json_errors: bool | None = None
    ) -> None:
        self.json = json
        self.json_errors = json if json_errors is None else json_errors
        self.quiet = quiet
        self.color = color and not os.environ.get("NO_COLOR")
        self.pager = pager
        self.on_terminal = sys.stdout is not None and sys.stdout.isatty()

    @cached_property
    def style(self) -> Style:
        """What emphasizes and colors text on standard output, where that understands it."""
        from keyctl.cli.screen import Style, understands_escapes

        return Style(escapes=understands_escapes(self.on_terminal, self.color), color=self.color)

    @property
    def on_stderr_terminal(self) -> bool:
        return sys.stderr is not None and sys.stderr.isatty()

    # ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, text: str) -> None:
        """Print one answer and a newline, unescaped. Raises OSError unless all of it is written."""
        self._write(f"{text}\n")

    def answer_lines(self, lines: Iterable[str]) -> None:
        """Print lines. Written in parts, so that a reader of many has the first ones early."""
        rest = iter(lines)
        while part := list(islice(rest, _AT_ONCE)):
            self.answer("\n".join(part))

    def answer_exactly(self, text: str) -> None:
        """Print one answer byte for byte; only on a terminal a newline follows."""
        self._write(f"{text}\n" if self.on_terminal else text)

    def deliver(self, text: str, *, exactly: bool = False) -> None:
        """Print new keys like an answer; if stdout is a file, also wait until they are on the disk."""
        (self.answer_exactly if exactly else self.answer)(text)
        sync(sys.stdout)

    def deliver_as_it_is(self, text: str) -> None:
        """Print a new key as its format has it: with a line end, or without."""
        self.deliver(text.removesuffix("\n"), exactly=not text.endswith("\n"))

    def answer_json(self, value: Any) -> None:
        self.answer(to_json(value))

    def result(self, text: str, value: Any) -> None:
        """Print `value` with --json, else `text`."""
        if self.json:
            self.answer_json(value)
        else:
            self.answer(text)

    def details(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Print facts, one per line: aligned on a terminal, tab-separated elsewhere."""
        if self.on_terminal:
            width = max(len(name) for name, _ in pairs)
            self.answer("\n".join(f"{name:<{width}}  {visible(value)}" for name, value in pairs))
        else:
            self.answer("\n".join(f"{name}\t{visible(value)}" for name, value in pairs))

    def answer_file(self, file: Path) -> None:
        """Print the content of a file."""
        with file.open("rb") as content:
            shutil.copyfileobj(content, sys.stdout.buffer)

    def _write(self, text: str) -> None:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "standard output is closed")
        sys.stdout.write(text)
        sys.stdout.flush()

    # ── messages ────────────────────────────────────────────────────────────────────────────────────────────────

    def note(self, text: str) -> None:
        if not self.quiet:
            _to_stderr(f"keyctl: {visible(text)}")

    def warn(self, text: str) -> None:
        _to_stderr(f"keyctl: warning: {visible(text)}")

    def relay(self, data: bytes) -> None:
        """Print what another program wrote to stderr: whole lines, visibly."""
        for line in data.decode(errors="replace").splitlines():
            _to_stderr(visible(line))

    def warn_of_leftovers(self, file: Path, *, seconds: float = 0) -> None:
        """Name the temporary files beside a file that is about to be written, which only a killed command leaves.

        Those younger than `seconds` are not named: a command that is running may be writing them.
        """
        for one in private_files.leftovers(file, seconds=seconds):
            self.warn(f"{one} is from a command that was killed or is still running, and may contain a key: delete it")

    def aside(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Print details of the answer to stderr if it is a terminal."""
        if not self.quiet and self.on_stderr_terminal:
            width = max(len(name) for name, _ in pairs)
            _to_stderr("\n".join(f"{name:>{width}}  {visible(value)}" for name, value in pairs))

    def error(self, error: KeyctlError) -> None:
        if self.json_errors:
            body = {"code": error.code, "message": error.message, "hint": error.hint}
            _to_stderr(to_json({"error": body}))
            return
        message, hint = error.message, error.hint
        if program := os.environ.get("_KEYCTL_MAKE"):  # set by the Makefile: what a hint names
            from keyctl.cli import make_hints

            message = make_hints.message_for_make(message)
            hint = make_hints.hint_for_make(hint, program) if hint else None
        for i, line in enumerate(message.split("\n")):
            _to_stderr(visible(line) if i else f"keyctl: error: {visible(line)}")
        if hint:
            _to_stderr(f"keyctl: hint: {visible(hint)}")

    def confirm(self, question: str) -> None:
        """Ask at a terminal. Raises Aborted unless the answer is yes, Refused if there is no terminal."""
        if sys.stdin is None or not sys.stdin.isatty():
            raise Refused(f"confirmation required: {question}", hint="standard input is not a terminal: add --yes")
        from keyctl.cli.terminal import ask

        if ask(f"{visible(question)}? [y/N] ").strip().lower() not in {b"y", b"yes"}:
            raise Aborted("aborted: nothing was changed")


@contextmanager
def delivered(place: str) -> Iterator[None]:
    """Print an answer about keys that were delivered to a place: an error says that they are valid."""
    try:
        yield
    except OSError as error:
        problem = f"the output could not be written: {error.strerror or error}"
        raise NotDelivered(f"each new key was {place} and is valid, but {problem}") from error


def to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def debug_traceback() -> None:
    """Print the traceback if KEYCTL_DEBUG=1. Without local variables: they may contain a secret."""
    if os.environ.get("KEYCTL_DEBUG") == "1":
        import traceback

        _to_stderr(traceback.format_exc().rstrip())


def _to_stderr(text: str) -> None:
    # A closed stderr must not turn an answer into a failure.
    if sys.stderr is not None:
        try:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        except OSError:
            sys.stderr = None
