"""Delivers a key to a command: on its standard input, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

from keyctl.admin import fed_program
from keyctl.admin.delivery import M
from keyctl.errors import NotDelivered

_LONGEST_LINE = 1 << 16


class CommandDelivery(Generic[M]):
    """Runs a shell command with what `render` makes of a key as its standard input, for at most `seconds`.

    A key is delivered if the command exits 0 and has read it. What the command prints goes to `write`, with asterisks
    in place of the key. It is in a process group of its own, without a terminal; neither its arguments nor its
    environment hold the key.
    """

    def __init__(
        self, command: str, render: Callable[[Sequence[M]], bytes], write: Callable[[bytes], None], *, seconds: float
    ) -> None:
        self._command = command
        self._render = render
        self._write = write
        self._seconds = seconds
        self._given = b""
        self._secrets: list[bytes] = []

    def prepare(self, minted: Sequence[M]) -> None:
        self._given = self._render(minted)
        self._secrets = [one.text.encode() for one in minted]

    def hand_over(self) -> None:
        given, outputs = self._given, [_Masked(self._secrets, self._write) for _ in range(2)]
        self._given, self._secrets = b"", []
        try:
            ended = fed_program.run(
                ["/bin/sh", "-c", self._command],
                given,
                seconds=self._seconds,
                on_output=outputs[0].write,
                on_errors=outputs[1].write,
            )
        finally:
            for output in outputs:
                output.close()
        if ended.code is None:
            raise NotDelivered(f"the command did not end within {self._seconds:g}s, and was ended")
        if ended.code:
            how = f"ended with exit code {ended.code}" if ended.code > 0 else f"was ended by signal {-ended.code}"
            raise NotDelivered(f"the command {how}")
        if ended.unread > given.endswith(b"\n"):
            raise NotDelivered("the command did not read the key from its standard input")

    def abandon(self) -> None:
        self._given, self._secrets = b"", []


class _Masked:
    """Passes on what is written to it, with asterisks in place of secrets, in whole lines as far as these are short."""

    def __init__(self, secrets: Sequence[bytes], write: Callable[[bytes], None]) -> None:
        self._secrets = secrets
        self._pass_on = write
        self._held = b""

    def write(self, data: bytes) -> None:
        self._held += data
        for secret in self._secrets:
            self._held = self._held.replace(secret, b"***")
        end = self._held.rfind(b"\n") + 1
        if not end and len(self._held) > _LONGEST_LINE:
            end = len(self._held) - max(map(len, self._secrets), default=0)
        if end:
            self._pass_on(self._held[:end])
            self._held = self._held[end:]

    def close(self) -> None:
        if self._held:
            self._pass_on(self._held)
        self._held, self._secrets = b"", ()
