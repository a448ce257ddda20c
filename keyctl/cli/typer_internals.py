"""What keyctl uses of the Click inside Typer, which has no public names since Typer 0.26.

This is the one file that changes when Typer moves them; the range of Typer in pyproject.toml is narrow for this reason.
"""

from typer._click import shell_completion
from typer._click.core import Command as ClickCommand
from typer._click.core import ParameterSource
from typer._click.exceptions import ClickException, NoArgsIsHelpError, NoSuchOption
from typer._click.shell_completion import CompletionItem

__all__ = [
    "ClickCommand",
    "ClickException",
    "CompletionItem",
    "NoArgsIsHelpError",
    "NoSuchOption",
    "ParameterSource",
    "shell_completion",
]
