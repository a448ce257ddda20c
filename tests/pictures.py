"""The README's pictures of a terminal: `make pictures` runs real commands and draws what they print.

Every command is a process of its own on a pseudo-terminal, mostly of 80 columns, with its real colours. Only the clock,
chance and the operator's name are held still, so that a picture is the same from run to run. A picture loads nothing,
and follows the reader's choice of a dark or a light screen.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich.color import ColorType
from rich.console import Console
from rich.style import Style
from rich.text import Text

from tests.runner import BASE_ENV

FOLDER = Path(__file__).parent.parent / ".github"
COLUMNS = 80
_ROWS = 100  # so that nothing needs a pager


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────

DESCRIPTION = """
[[owners]]
handle = "acme"
name = "Acme Ltd"

[[owners]]
handle = "initech"

[[keys]]
name = "website"
owner = "acme"
scopes = ["read", "write"]
allowed_ips = ["192.0.2.0/24"]

[[keys]]
name = "nightly"
owner = "acme"
environment = "test"

[[keys]]
name = "reports"
owner = "initech"
scopes = ["read"]
expires = "90d"
"""


@dataclass(frozen=True)
class Step:
    """A command line, on which day of the story it is run, and in which picture it is shown, if any.

    `columns` is the width of the terminal.
    """

    day: float
    line: str
    picture: str | None = None
    columns: int = COLUMNS


STORY = (
    Step(0, "keyctl init --argon2 m=8,t=1,p=1"),
    Step(0, "keyctl owner add acme"),
    Step(0, "keyctl owner add globex"),
    Step(0, "keyctl mint --name legacy --owner globex --scope read --out legacy.key"),
    Step(8, "keyctl mint --name nightly --owner acme --env test --scope read --expires 180d --out nightly.key"),
    Step(40, "keyctl mint --name billing --owner globex --scope write --out billing.key"),
    Step(75, "keyctl verify --record < nightly.key"),
    Step(89, "keyctl mint --name website --owner acme --scope read --expires 90d", "mint"),
    Step(89.8, "keyctl verify --record < website.key"),
    Step(90, "keyctl revoke {legacy} --reason leaked --yes"),
    Step(90.2, "keyctl lock {billing} --for 36h --reason 'unusual traffic'"),
    Step(90.3, "keyctl rotate {nightly} --reason scheduled --out nightly-2.key"),
    Step(90.4, "keyctl list", "list"),
    Step(90.4, "keyctl verify --scope write < website.key", "verify"),
    Step(90.4, "keyctl verify < legacy.key", "verify"),
    Step(90.4, "keyctl audit list --limit 7", "audit"),
    Step(90.4, "keyctl apply keys.toml --prune --dry-run", "apply"),
    Step(90.5, "keyctl owner add acme-eu --parent acme --name 'Acme Europe'"),
    Step(90.5, "keyctl owner add acme-labs --parent acme-eu"),
    Step(90.5, "keyctl mint --name checkout --owner acme-eu --scope read,write --expires 1y --out checkout.key"),
    Step(90.5, "keyctl mint --name trial --owner acme-labs --env test --expires 30d --out trial.key"),
    Step(90.6, "keyctl owner disable acme-labs --yes"),
    Step(91, "keyctl list --tree", "tree"),
    Step(91, "keyctl list --env live --sort status", "cards", 50),
    Step(91, "keyctl mint --count 9 --name partner --owner globex --scope read --expires 170d --out partner.keys"),
    Step(94, "keyctl mint --count 16 --name edge --owner acme --scope read --expires 60d --out edge.keys"),
    Step(99, "keyctl mint --count 5 --name trial --owner globex --scope read --expires 21d --out trial.keys"),
    Step(131, "keyctl report --limit 2", "report"),
)
TITLES = {
    "mint": "keyctl mint prints a new key, once",
    "list": "keyctl list names keys by their prefixes",
    "verify": "keyctl verify refuses, and says why",
    "audit": "keyctl audit list shows who changed what",
    "tree": "keyctl list --tree shows owners with their keys",
    "cards": "keyctl list shows cards on a terminal of 50 columns",
    "report": "keyctl report shows what to rotate, revoke or look at",
    "apply": "keyctl apply shows what a description of owners and keys would change",
}


def draw_all() -> dict[str, str]:
    """Run the story; return the pictures, as SVG, by name."""
    shown = dict.fromkeys(TITLES, "")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "keys.toml").write_text(DESCRIPTION)
        for step in STORY:
            names = {path.stem: _prefix(path) for path in home.glob("*.key")}
            line = step.line.format(**names)
            printed, code = _run(line, step, home)
            expected = {"verify": (12, 16), "apply": (9,)}.get(step.picture or "", (0,))
            if code not in expected:
                raise RuntimeError(f"$ {line}\nexit code {code}\n{printed}")
            if step.picture:
                shown[step.picture] += f"\x1b[1m$\x1b[0m {line}\n{printed}"
            if step.picture == "mint":
                (home / "website.key").write_text(printed.splitlines()[0] + "\n")
            if step.picture == "verify":
                shown["verify"] += f"\x1b[1m$\x1b[0m echo $?\n{code}\n"
    columns = {step.picture: step.columns for step in STORY}
    return {name: draw(text, title=TITLES[name], columns=columns[name]) for name, text in shown.items()}


def _prefix(key_file: Path) -> str:
    return key_file.read_text().rpartition("_")[0]


# ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _run(line: str, step: Step, home: Path) -> tuple[str, int]:
    """Run a command line on a terminal; return what that shows, and the exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", _ROWS, step.columns, 0, 0))
    program = shlex.join([sys.executable, "-P", str(Path(__file__)), "--still", str(step.day), line])
    # Files are named without their folder, so the pictures show no path.
    env = {name: value for name, value in BASE_ENV.items() if name != "COLUMNS"} | {"HOME": str(home)}
    env["PYTHONPATH"] = str(Path(__file__).parent.parent)
    process = subprocess.Popen(
        ["bash", "-c", f'keyctl() {{ {program} "$@"; }}; {line}'],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=home,
        env=env,
        start_new_session=True,
    )
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that no process has the terminal open any more
        while data := os.read(master, 1 << 16):
            shown += data
    os.close(master)
    return shown.decode().replace("\r\n", "\n"), process.wait()


def hold_still(day: float, seed: str) -> None:
    """Give this process a clock, a source of chance and an operator that are always the same."""
    import datetime
    import pwd
    import random
    import socket
    from types import SimpleNamespace

    chance = random.Random(seed)
    os.urandom = lambda size: chance.randbytes(size)  # type: ignore[assignment]  # noqa: PLW0108
    pwd.getpwuid = lambda _: SimpleNamespace(pw_name="jo")  # type: ignore[assignment,return-value]
    socket.gethostname = lambda: "ops1"
    now = datetime.datetime(2026, 3, 2, 9, 30, tzinfo=datetime.UTC) + datetime.timedelta(days=day)

    class Still(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return now.astimezone(tz)

    import keyctl.times
    import keyctl.verifier

    keyctl.times.datetime = keyctl.verifier.datetime = Still  # type: ignore[attr-defined,misc]


# ── drawing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_FONT, _WIDTH, _HEIGHT, _MARGIN, _BAR = 14, 8.4, 20, 18, 34
_CLASSES = {1: "red", 2: "green", 3: "yellow", 8: "gray"}
_LIGHT = {"text": "#24292f", "red": "#b3261e", "green": "#1a7f37", "yellow": "#8a6100", "gray": "#6e7781"}
_DARK = {"text": "#d7dce3", "red": "#ff7b72", "green": "#56d364", "yellow": "#e3b341", "gray": "#8b949e"}
_FRAME = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">
<title>{title}</title>
<style>
text {{ font: {font}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre }}
.bold {{ font-weight: bold }} .dim {{ opacity: .7 }}
.page {{ fill: #fbfbfd; stroke: #d4d7de }} .dot {{ fill: #d4d7de }}
{light}
@media (prefers-color-scheme: dark) {{
.page {{ fill: #161a21; stroke: #343b46 }} .dot {{ fill: #343b46 }}
{dark}
}}
</style>
<rect class="page" x=".5" y=".5" width="{inner_width}" height="{inner_height}" rx="9"/>
<circle class="dot" cx="20" cy="19" r="5.5"/><circle class="dot" cx="39" cy="19" r="5.5"/>\
<circle class="dot" cx="58" cy="19" r="5.5"/>
{lines}
</svg>
"""


def draw(shown: str, *, title: str, columns: int = COLUMNS) -> str:
    """Draw what a terminal showed, escape sequences and all."""
    lines = list(Text.from_ansi(shown.rstrip("\n")).split("\n", allow_blank=True))
    width = round(columns * _WIDTH) + 2 * _MARGIN
    height = _BAR + len(lines) * _HEIGHT + _MARGIN
    return _FRAME.format(
        width=width,
        height=height,
        inner_width=width - 1,
        inner_height=height - 1,
        font=_FONT,
        title=escape(title),
        light=_rules(_LIGHT),
        dark=_rules(_DARK),
        lines="\n".join(_text(line, _BAR + (i + 0.72) * _HEIGHT) for i, line in enumerate(lines)),
    )


def _rules(colours: dict[str, str]) -> str:
    selectors = {name: "text" if name == "text" else f".{name}" for name in colours}
    return "\n".join(f"{selectors[name]} {{ fill: {value} }}" for name, value in colours.items())


def _text(line: Text, y: float) -> str:
    spans = "".join(
        f'<tspan x="{_MARGIN + at * _WIDTH:g}" textLength="{len(text) * _WIDTH:g}" lengthAdjust="spacingAndGlyphs"'
        f"{_class(style)}>{escape(text, quote=False)}</tspan>"
        for at, text, style in _words(line)
    )
    return f'<text y="{y:g}">{spans}</text>'


def _words(line: Text) -> Iterator[tuple[int, str, Style]]:
    """Yield the pieces of a line with their columns. Wide gaps part pieces, so that columns stay in line."""
    column = 0
    console = Console(file=io.StringIO(), color_system="standard", force_terminal=True, width=1000)
    for segment in line.render(console):
        for piece in re.finditer(r"\S+(?: \S+)*", segment.text):
            yield column + piece.start(), piece[0], segment.style or Style()
        column += len(segment.text)


def _class(style: Style) -> str:
    names = [name for name, on in (("bold", style.bold), ("dim", style.dim)) if on]
    if style.color and style.color.type is not ColorType.DEFAULT:
        names.append(_CLASSES[style.color.number or 0])
    return f' class="{" ".join(names)}"' if names else ""


def main(arguments: Sequence[str]) -> int:
    """Write the pictures; or, for `--still DAY SEED ARGUMENTS`, be the keyctl that they show."""
    if arguments[:1] == ["--still"]:
        hold_still(float(arguments[1]), arguments[2])
        from keyctl.cli import app

        sys.argv = ["keyctl", *arguments[3:]]
        return app.main()
    FOLDER.mkdir(exist_ok=True)
    for name, svg in draw_all().items():
        (FOLDER / f"{name}.svg").write_text(svg)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
