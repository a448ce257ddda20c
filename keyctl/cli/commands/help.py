"""`keyctl help`."""

import shutil
from typing import Annotated, Any

import typer

from keyctl.cli import synonyms
from keyctl.cli.commands import SECTIONS, below
from keyctl.cli.context import context_of
from keyctl.cli.help_layout import Command, set_width, write_sections
from keyctl.cli.output import Output
from keyctl.cli.topics import Topic, read_topic, topic_names, with_typed_links
from keyctl.errors import UsageError
from keyctl.text import brief

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_WIDEST = 100  # columns; longer lines are hard to read


@app.command("help", cls=Command)
def show_help(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[COMMAND|TOPIC]", help="Command or topic. [default: list all of them]")
    ] = None,
    subcommand: Annotated[
        str | None, typer.Argument(metavar="[SUBCOMMAND]", help="The second word of a command.")
    ] = None,
) -> None:
    """Show the help of a command, or a topic.

    \b
    Examples:
      keyctl help
      keyctl help tour
      keyctl help owner add

    A topic is shown in a pager on a terminal, and as its Markdown text in a pipe. A name that is both a command and a
    topic shows both.
    """
    output = context_of(ctx).output
    words = [word for word in (name, subcommand) if word is not None]
    if not words:
        _list(ctx, output)
        return
    command = _command_help(ctx, words)
    topic = read_topic(words[0]) if len(words) == 1 and words[0] in topic_names() else None
    if command is None and topic is None:
        raise UsageError(f'no help for "{brief(" ".join(words))}"', hint=_hint(words))
    if output.json:
        about = {"command": " ".join(words), "text": command} if command is not None else None
        output.answer_json({"command": about, "topic": topic and topic._asdict()})
    elif topic is None:
        output.answer(command or "")
    else:
        _show_topic(output, topic, command)


def _list(ctx: typer.Context, output: Output) -> None:
    topics = [read_topic(name) for name in topic_names()]
    if output.json:
        commands = [
            {"name": name, "section": section, "help": line}
            for section, lines in SECTIONS.items()
            for name, line in lines.items()
        ]
        described = [{"name": one.name, "title": one.title, "summary": one.summary} for one in topics]
        output.answer_json({"commands": commands, "topics": described})
        return
    root: Any = ctx.find_root()
    set_width(root)
    formatter = root.make_formatter()
    formatter.write_text("For the help of one: keyctl help COMMAND, or keyctl help TOPIC.")
    root.command.format_commands(root, formatter)
    write_sections(formatter, {"Topics": [(one.name, one.summary) for one in topics]})
    _show(output, formatter.getvalue().rstrip("\n"))


def _command_help(ctx: typer.Context, words: list[str]) -> str | None:
    """Return what `WORDS --help` prints; None if there is no such command."""
    at: Any = ctx.find_root()
    for word in words:
        command = getattr(at.command, "commands", {}).get(word)
        if command is None:
            return None
        at = type(at)(command, info_name=word, parent=at)
    text: str = at.get_help()
    return text


def _hint(words: list[str]) -> str:
    *group, word = words if len(words) > 1 and below(words[0]) else words[:1]
    path = " ".join(group)
    if lines := synonyms.command_lines(path, word) or synonyms.command_lines("" if group else "help", word):
        return f"use: {' or '.join(map(_help_line, lines))}"
    if len(words) > 1 and not group and (words[0] in below("") or words[0] in topic_names()):
        return f"see: keyctl help {words[0]}"
    near = synonyms.near_miss(word, [*below(path), *([] if group else topic_names())])
    return synonyms.did_you_mean(" ".join([*group, near])) if near else "see: keyctl help"


def _help_line(line: str) -> str:
    return f"keyctl {line}" if line.split(maxsplit=1)[0] == "help" else f"keyctl {line} --help"


def _show_topic(output: Output, topic: Topic, command: str | None) -> None:
    above = f"{command}\n\n" if command is not None else ""
    _show(output, above + (_rendered(topic, output) if output.on_terminal else topic.text).rstrip("\n"))


def _rendered(topic: Topic, output: Output) -> str:
    from keyctl.cli.markdown import render

    width = min(shutil.get_terminal_size().columns, _WIDEST)
    return render(with_typed_links(topic.text), width=width, color=output.color)


def _show(output: Output, text: str) -> None:
    if not output.on_terminal:
        output.answer(text)
        return
    from keyctl.cli.pager import show

    show(output, text)
