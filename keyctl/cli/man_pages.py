"""Manual pages, made from the same texts as the help: one for each command, one for each topic. The wheel holds them.

They are `apikeyctl-COMMAND.1` and `keyctl-TOPIC.7`: `keyctl(1)` is the manual of the kernel's key management.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import typer
from markdown_it import MarkdownIt
from markdown_it.token import Token
from typer import core

from keyctl import __version__
from keyctl.cli.app import app
from keyctl.cli.commands import HELP_LINES, SECTIONS, below
from keyctl.cli.table_layout import labelled, least_widths
from keyctl.cli.topics import Topic, read_topic, topic_names

_ROOM = 71  # columns of text on a terminal of 80
_BETWEEN = 3  # columns between those of a table
_TOPIC_LINK = re.compile(r"([a-z-]+)\.md(?:#.*)?")


def pages() -> dict[str, str]:
    """Return every page by the name of its file, such as `apikeyctl-mint.1`."""
    root: Any = typer.main.get_command(app)
    ctx = root.make_context("keyctl", ["--version"], resilient_parsing=True)
    topics = [read_topic(name) for name in topic_names()]
    made = {"apikeyctl.1": _top_page(ctx, topics)}
    for name in HELP_LINES:
        made[f"{_page(name)}.1"] = _command_page(ctx, name)
    for topic in topics:
        made[f"keyctl-{topic.name}.7"] = _topic_page(topic)
    return made


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _top_page(ctx: Any, topics: Sequence[Topic]) -> str:
    lines = [*_head("apikeyctl", 1, "administer API keys"), *_synopsis(ctx), *_description(ctx.command.help)]
    lines += _options(ctx)
    for title, entries in SECTIONS.items():
        lines += _section(f"{title} commands")
        for name, line in entries.items():
            lines += _item(_bold(name), f"{_text(line)} See {_reference(_page(name), 1)}.")
    lines += _section("Topics")
    for topic in topics:
        lines += _item(_reference(f"keyctl-{topic.name}", 7), _text(topic.summary))
    lines += _section("Exit status", "See " + _reference("keyctl-exit-codes", 7) + ".")
    lines += _section("Environment", "See " + _reference("keyctl-configuration", 7) + ".")
    return _finish(lines)


def _command_page(ctx: Any, name: str) -> str:
    for word in name.split():
        ctx = type(ctx)(ctx.command.commands[word], info_name=word, parent=ctx)
    lines = [*_head(_page(name), 1, HELP_LINES[name]), *_synopsis(ctx), *_description(ctx.command.help)]
    lines += _options(ctx)
    if below(name):
        lines += _section("Commands")
        for word, line in below(name).items():
            lines += _item(_bold(word), f"{_text(line)} See {_reference(_page(f'{name} {word}'), 1)}.")
    lines += _section("See also", ", ".join(_reference(page, 1) for page in ("apikeyctl", *_siblings(name))))
    return _finish(lines)


def _siblings(name: str) -> list[str]:
    group = name.rpartition(" ")[0]
    others = [f"{group} {word}" for word in below(group) if f"{group} {word}" != name]
    return [_page(one) for one in (group, *others)] if group else []


def _page(name: str) -> str:
    return f"apikeyctl-{name.replace(' ', '-')}"


def _synopsis(ctx: Any) -> list[str]:
    words = " ".join(ctx.command.collect_usage_pieces(ctx))
    return [".SH SYNOPSIS", f"{_bold(ctx.command_path)} {_text(words)}"]


def _description(text: str) -> list[str]:
    """Return the first line and the paragraphs of a docstring as a description, and its examples as a section."""
    described, examples = _section("Description"), []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph.startswith("\b"):
            title, *commands = [line.strip() for line in paragraph[1:].strip().splitlines()]
            examples += [*_section(title.rstrip(":")), *_verbatim(commands)]
        else:
            described += [".PP", _text(" ".join(paragraph.split()))]
    return described + examples


def _options(ctx: Any) -> list[str]:
    lines: list[str] = []
    groups: dict[str, list[tuple[str, str]]] = {}
    for param in ctx.command.get_params(ctx):
        if record := param.get_help_record(ctx):
            title = "Arguments" if isinstance(param, core.TyperArgument) else param.rich_help_panel or "Options"
            groups.setdefault(title if title in {"Arguments", "Options"} else f"{title} options", []).append(record)
    for title, records in groups.items():
        lines += _section(title)
        for names, text in records:
            lines += _item(_bold(names), _text(text))
    return lines


# ── topics ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _topic_page(topic: Topic) -> str:
    tokens = MarkdownIt("commonmark").enable("table").parse(topic.text)
    lines = [*_head(f"keyctl-{topic.name}", 7, topic.summary), *_section("Description")]
    linked = dict.fromkeys(_TOPIC_LINK.findall(topic.text))
    body = _blocks(iter(tokens[6:]))  # after the title and the summary
    others = [_reference(f"keyctl-{name}", 7) for name in linked if name in topic_names() and name != topic.name]
    return _finish([*lines, *body, *_section("See also", ", ".join([_reference("apikeyctl", 1), *others]))])


def _blocks(tokens: Iterator[Token]) -> list[str]:
    lines: list[str] = []
    lists: list[str] = []
    first = False  # whether a paragraph is the first of a list item, beside its mark
    for token in tokens:
        if token.type == "heading_open":
            lines += [f".{'SH' if token.tag == 'h2' else 'SS'} {_quoted(_spans(next(tokens).children))}"]
        elif token.type == "paragraph_open":
            lines += [] if first else [".PP"] if not lists else [".sp"]
            first = False
        elif token.type == "inline":
            lines.append(_spans(token.children))
        elif token.type in {"fence", "code_block"}:
            lines += _verbatim(token.content.rstrip("\n").split("\n"))
        elif token.type in {"bullet_list_open", "ordered_list_open"}:
            if lists:
                lines.append(".RS")
            lists.append(token.type)
        elif token.type in {"bullet_list_close", "ordered_list_close"}:
            lists.pop()
            if lists:
                lines.append(".RE")
        elif token.type == "list_item_open":
            lines.append(f".IP {token.info}. 4" if token.info else r".IP \(bu 2")
            first = True
        elif token.type == "table_open":
            lines += _table(tokens)
    return lines


def _table(tokens: Iterator[Token]) -> list[str]:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_spans(token.children))
    plain = [[_plain(cell) for cell in row] for row in rows]
    least = least_widths(plain)
    wrapped = [width < max(map(len, column)) for width, column in zip(least, zip(*plain, strict=True), strict=True)]
    equal = max((width for width, one in zip(least, wrapped, strict=True) if one), default=0)  # as tbl makes them
    needed = sum(equal if one else width for width, one in zip(least, wrapped, strict=True))
    if needed + _BETWEEN * (len(least) - 1) > _ROOM:
        return _list_of_rows(rows)
    styles = ["lx" if one else "l" for one in wrapped]
    lines = [".TS", f"{' '.join(style.replace('l', 'lb') for style in styles)}", f"{' '.join(styles)}."]
    for row in rows:
        cells = [f"T{{\n{cell}\nT}}" if one and cell else cell for cell, one in zip(row, wrapped, strict=True)]
        lines.append("\t".join(cells))
    return [*lines, ".TE"]


def _list_of_rows(rows: list[list[str]]) -> list[str]:
    head, *others = rows
    lines: list[str] = []
    for row in others:
        cells = [f"{label}{row[place]}" for label, place in labelled(head, row)]
        lines += _item(row[0], "\n.br\n".join(cells))
    return lines


def _spans(tokens: Iterable[Token] | None) -> str:
    text, link = "", ""
    for token in tokens or ():
        if token.type == "text":
            text += _text(token.content)
        elif token.type in {"softbreak", "hardbreak"}:
            text += " "
        elif token.type == "code_inline":
            text += _bold(token.content)
        elif token.type in {"strong_open", "em_open"}:
            text += r"\fB" if token.type == "strong_open" else r"\fI"
        elif token.type in {"strong_close", "em_close"}:
            text += r"\fR"
        elif token.type == "link_open":
            link = str(token.attrs["href"])
        elif token.type == "link_close" and (topic := _TOPIC_LINK.fullmatch(link)):
            text += f" ({_reference(f'keyctl-{topic[1]}', 7)})"
        elif token.type == "link_close" and "://" in link:
            text += f" ({_text(link)})"
    return text


# ── roff ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _head(name: str, section: int, summary: str) -> list[str]:
    said = summary[:1].lower() + summary[1:].rstrip(".")
    return [
        "'\\\" t",  # it may hold tables
        f'.TH {name.upper()} {section} "" "apikeyctl {__version__}" "keyctl"',
        ".nh",  # hyphens would break the names of commands and options; groff sets them again at each heading, by HY
        ".nr HY 0",
        ".ad l",
        *_section("Name", f"{_text(name)} \\- {_text(said)}"),
    ]


def _section(title: str, text: str = "") -> list[str]:
    return [f".SH {_quoted(_text(title.upper()))}", *([text] if text else [])]


def _item(term: str, text: str) -> list[str]:
    return [".TP", term, text]


def _verbatim(lines: Iterable[str]) -> list[str]:
    return [".PP", ".RS 4", ".EX", *(_text(line) or r"\&" for line in lines), ".EE", ".RE"]


def _reference(page: str, section: int) -> str:
    return f"{_bold(page)}({section})"


def _bold(text: str) -> str:
    return rf"\fB{_text(text)}\fR"


def _quoted(text: str) -> str:
    escaped = text.replace('"', '""')
    return f'"{escaped}"'


def _text(text: str) -> str:
    r"""Escape what roff would act on. A hyphen is written `\-`, so that commands can be copied from the page."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    escaped = escaped.replace("^", r"\(ha").replace("~", r"\(ti")
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


def _plain(text: str) -> str:
    """Return what a reader sees of escaped text."""
    return re.sub(r"\\\((?:aq|ga|ha|ti)|\\[-e]", "-", re.sub(r"\\f.|\\&", "", text))


def _finish(lines: Iterable[str]) -> str:
    kept: list[str] = []
    for line in lines:
        if line and not (line == ".PP" and kept[-1].startswith((".SH", ".SS"))):  # a heading begins a paragraph itself
            kept.append(line)
    return "\n".join(kept) + "\n"
