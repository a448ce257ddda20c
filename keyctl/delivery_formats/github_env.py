"""`github-env`: a line of the file that `$GITHUB_ENV` names on GitHub Actions, and the command that masks a key.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from keyctl.delivery_formats.format import Content, Format, check_variable
from keyctl.errors import UsageError

_RESERVED = ("GITHUB_", "RUNNER_")


def render(key: Content) -> bytes:
    # The first `=` ends the name, and a key is one line: what follows may be anything.
    return f"{key.name}={key.text}\n".encode()


def merge(content: bytes, key: Content) -> bytes:
    between = b"" if not content or content.endswith(b"\n") else b"\n"
    return content + between + render(key)


def read(content: bytes, name: str | None) -> str | None:
    """Return the last value of a name on one line. Values between delimiters are not keyctl's, and are not read."""
    values = [line.partition("=") for line in content.decode(errors="replace").splitlines()]
    return next((value for found, equals, value in reversed(values) if equals and found == name), None)


def mask(text: str) -> str:
    """Return the line that makes a runner hide a key in its log. It must be printed before anything else is."""
    return f"::add-mask::{text.replace('%', '%25')}"


def check_name(name: str | None) -> None:
    check_variable(name, format_name="github-env")
    if name is not None and (name.upper().startswith(_RESERVED) or name.upper() == "NODE_OPTIONS"):
        raise UsageError(f"GitHub does not let a job set {name}", hint="for example: --as API_KEY")


GITHUB_ENV = Format("github-env", render, read, merge, check_name)
