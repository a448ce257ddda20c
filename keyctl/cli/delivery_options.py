"""Where `mint` and `rotate` deliver a new key: the options, and the delivery that they ask for."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyctl.cli.output import to_json
from keyctl.errors import UsageError

if TYPE_CHECKING:
    from keyctl.admin.delivery import Delivery, Minted
    from keyctl.cli.output import Output
    from keyctl.delivery_formats.format import Content, Format

DEFAULT_TIMEOUT = "60s"


def _option(*names: str, help: str, metavar: str | None = None) -> Any:  # noqa: A002 - Typer's name for it
    return typer.Option(*names, metavar=metavar, rich_help_panel="Output", help=help)


@dataclass(frozen=True)
class DeliveryOptions:
    """Where a command delivers a new key, as it is typed."""

    out: Annotated[
        Path | None, _option("--out", metavar="FILE", help="Write the key to a file (mode 0600); - is stdout.")
    ] = None
    force: Annotated[bool, _option("--force", help="Let --out replace an existing file.")] = False
    layout: Annotated[
        str | None,
        _option("--format", metavar="FORMAT", help="Write it as env, dotenv, k8s-secret, …: keyctl help delivery."),
    ] = None
    as_name: Annotated[
        str | None, _option("--as", metavar="NAME", help="Name of the variable, Secret or credential.")
    ] = None
    no_newline: Annotated[bool, _option("--no-newline", help="Omit the line end after the key.")] = False
    encrypt: Annotated[bool, _option("--encrypt", help="Encrypt a systemd-credential with systemd-creds.")] = False
    command: Annotated[
        str | None,
        _option("--exec", metavar="COMMAND", help="Give the key to a shell command on its standard input."),
    ] = None
    command_timeout: Annotated[
        str | None,
        _option("--exec-timeout", metavar="TIME", help="Time limit of that command. [default: 60s]"),
    ] = None

    def destination(self, *, many: bool) -> Destination:
        """Return where keys are delivered. Raises UsageError for what is invalid, or for one key where `many` come."""
        to_stdout = self.out == Path("-")
        given = Destination(
            None if to_stdout else self.out,
            force=self.force,
            format=self.layout,
            name=self.as_name,
            no_newline=self.no_newline,
            encrypt=self.encrypt,
            command=self.command,
            command_timeout=self.command_timeout,
            many=many,
        )
        if given.layout.name == "github-env":
            given = given.for_github(to_stdout=to_stdout)
        given.check(to_stdout=to_stdout)
        return given


@dataclass(frozen=True)
class Destination:
    """Where a key is delivered. `many` says that several keys are, or may be."""

    out: Path | None
    force: bool = False
    format: str | None = None
    name: str | None = None
    no_newline: bool = False
    encrypt: bool = False
    command: str | None = None
    command_timeout: str | None = None
    many: bool = False

    def for_github(self, *, to_stdout: bool) -> Destination:
        """Return the same with the file that GitHub Actions reads. stdout is for the line that masks the key."""
        file = self.out or os.environ.get("GITHUB_ENV")
        if to_stdout or self.command is not None or not file:
            raise UsageError(
                "--format github-env needs a file, and GITHUB_ENV is not set"
                if not file
                else "--format github-env writes to a file, and prints the line that masks the key",
                hint="give a file: --out FILE",
            )
        return replace(self, out=Path(file))

    def check(self, *, to_stdout: bool) -> None:
        """Raise UsageError for options that are invalid, or contradict each other."""
        layout = self.layout
        if self.command is not None and (self.out or to_stdout):
            raise UsageError("--exec cannot be used with --out", hint="omit one of them")
        if self.command is not None and not self.command.strip():
            raise UsageError("the command of --exec is empty", hint="for example: --exec 'gh secret set API_KEY'")
        if self.command_timeout is not None and self.command is None:
            raise UsageError("--exec-timeout requires --exec", hint="add --exec COMMAND")
        _ = self.seconds
        if layout.check_name is not None:
            layout.check_name(self.name)
        elif self.name is not None:
            raise UsageError(f"--as cannot be used with --format {layout.name}", hint="add --format dotenv")
        if self.no_newline and layout.name != "raw":
            raise UsageError(f"--no-newline cannot be used with --format {layout.name}", hint="omit --no-newline")
        if self.encrypt and (layout.name != "systemd-credential" or self.out is None):
            raise UsageError("--encrypt requires a file", hint="add --format systemd-credential --out FILE")
        if self.encrypt and layout.check_name is not None:
            layout.check_name(self.credential)
        if self.many and (self.command is not None or self.no_newline or not layout.many):
            which = "--exec" if self.command else "--no-newline" if self.no_newline else f"--format {layout.name}"
            raise UsageError(f"{which} takes one key, not several", hint="mint or rotate the keys one by one")

    @property
    def layout(self) -> Format:
        if self.format is None:  # most keys are delivered so: the other formats are not imported
            from keyctl.delivery_formats.raw import RAW

            return RAW
        from keyctl.delivery_formats.table import format_named

        return format_named(self.format)

    @property
    def seconds(self) -> float:
        """The time limit of the command. Raises UsageError."""
        from keyctl.times import parse_duration

        limit = parse_duration(self.command_timeout or DEFAULT_TIMEOUT).total_seconds()
        if not limit:
            raise UsageError("--exec-timeout must be greater than zero", hint=f"for example: {DEFAULT_TIMEOUT}")
        return limit

    @property
    def credential(self) -> str:
        """The name of a systemd credential: that of its file, unless another one is given."""
        return self.name or (self.out.name if self.out else "")

    @property
    def elsewhere(self) -> bool:
        """Whether the key goes to anything but stdout."""
        return self.out is not None or self.command is not None

    @property
    def place(self) -> str:
        """Where the key went, for a message."""
        return f"written to {self.out}" if self.out else "passed to the command"

    def json_fields(self) -> dict[str, Any]:
        """Return what `--json` prints in place of the key."""
        return {"key": None, **({"out": str(self.out)} if self.out else {"exec": self.command})}

    def print_json_if_asked(self, output: Output) -> None:
        """Let `--format json` do what `--json` does, where the key goes to stdout."""
        if self.format == "json" and not self.elsewhere:
            output.json = output.json_errors = True

    def refuse_with(self, option: str) -> None:
        """Raise UsageError if stdout cannot have what `option` prints."""
        if self.layout.name == "github-env" or (not self.elsewhere and self.format not in (None, "json")):
            raise UsageError(f"{option} cannot be used with --format {self.layout.name}", hint=f"omit {option}")

    def delivery(
        self, output: Output, to_stdout: Delivery[Any] | None, fields: Callable[[Any], dict[str, Any]], *, wait: float
    ) -> Delivery[Any]:
        """Return what delivers the key. `to_stdout` does if nothing else is asked for.

        `fields` returns the JSON object of a key. `wait` is how many seconds to wait for another process that writes to
        the same file.
        """
        from keyctl.admin.delivery import FileDelivery, MaskedDelivery, StreamDelivery

        layout = self.layout

        def render(minted: Sequence[Minted]) -> bytes:
            if layout.name == "json" and self.many:
                return (to_json({"keys": [{**fields(one), "key": one.text} for one in minted]}) + "\n").encode()
            content = b"".join(layout.render(self._content(one, fields)) for one in minted)
            return content.removesuffix(b"\n") if self.no_newline else content

        if self.command is not None:
            from keyctl.admin.command_delivery import CommandDelivery

            return CommandDelivery(self.command, render, output.relay, seconds=self.seconds)
        if self.out is None:
            if to_stdout is not None and (layout.name == "json" or (layout.name == "raw" and not self.no_newline)):
                return to_stdout
            return StreamDelivery(output.deliver_as_it_is, lambda minted: render(minted).decode())
        if self.encrypt:
            from keyctl.admin.systemd_creds import EncryptedFileDelivery

            return EncryptedFileDelivery(self.out, self.credential, replace=self.force)
        if (merge := layout.merge) is not None:
            from keyctl.admin.merged_file import MergedFileDelivery

            merged = MergedFileDelivery(
                self.out, lambda content, one: merge(content, self._content(one, fields)), seconds=wait
            )
            if layout.name != "github-env":
                return merged
            from keyctl.delivery_formats.github_env import mask

            return MaskedDelivery(merged, output.deliver, mask)
        if layout.name == "raw" and not self.no_newline:
            return FileDelivery(self.out, replace=self.force)
        return FileDelivery(self.out, replace=self.force, render=lambda minted: [render(minted)])

    def _content(self, one: Minted, fields: Callable[[Any], dict[str, Any]]) -> Content:
        from keyctl.delivery_formats.format import Content

        return Content(one.text, self.name, fields(one) if self.layout.name == "json" else {})


def warn_of_readers(output: Output, destination: Destination) -> None:
    """Warn if the file with the key, which kept its mode, can be read by other users."""
    if destination.out is None or destination.layout.name != "dotenv":
        return
    with suppress(OSError):
        mode = stat.S_IMODE(destination.out.stat().st_mode)
        if mode & 0o077:
            output.warn(f"{destination.out} has the mode {mode:04o}: other users may read the key")
