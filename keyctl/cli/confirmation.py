"""Asks before a change, and names the store if it is not the default one: a wrong store is a wrong change."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyctl.cli.context import CommandContext


def confirm_change(context: CommandContext, question: str) -> None:
    """Ask at a terminal. Raises Aborted unless the answer is yes, Refused if there is no terminal."""
    from keyctl.cli.configuration import DEFAULT_STORE

    asked = sys.stdin is not None and sys.stdin.isatty()
    if asked and context.store_origin != DEFAULT_STORE:
        context.output.note(f"in the store {context.location}:")
    context.output.confirm(question)
