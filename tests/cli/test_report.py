"""`keyctl report`, on a store with one key for each finding."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from keyctl.cli.report_page import report_lines
from keyctl.cli.screen import Style
from keyctl.models import Status
from keyctl.report.as_html import html
from keyctl.report.as_markdown import markdown
from keyctl.report.as_prometheus import prometheus
from keyctl.report.gathering import gather
from keyctl.report.model import SECTIONS, Named, Report, Section, Thresholds, Week
from keyctl.store import usage
from keyctl.store.selection import Filters, Selection
from keyctl.times import to_milliseconds, utc_now
from keyctl.usage.report import HOUR, Identity, KeyUse
from keyctl.usage.report import Report as Recorded
from tests.cli.helpers import dump, refused
from tests.runner import Cli
from tests.stores import Opened

HOSTILE = "<b>&amp;|`[x](y)`|*a*_b_\\"


@dataclass
class Kept:
    """A store, and the prefix of the key for each section."""

    opened: Opened
    cli: Cli
    prefixes: dict[str, str]

    def report(self, **how: object) -> Report:
        filters = how.pop("filters", Filters())
        return gather(self.opened.store, filters, thresholds=Thresholds(), now=self.opened.clock(), **how)  # type: ignore[arg-type]

    def sections(self, **how: object) -> dict[str, Section]:
        return {section.name: section for section in self.report(**how).sections}


def record(opened: Opened, uses: dict[str, KeyUse], *, days: float) -> None:
    """Report as a recorder that has been running for so long."""
    until = opened.clock()
    one = Recorded(
        opened.store.store_id,
        Identity("api", "instance", "web1", 1),
        1,
        60_000,
        to_milliseconds(until - timedelta(days=days)),
        to_milliseconds(until),
        uses,
    )
    opened.store.write(lambda connection: usage.apply(connection, [one], now=until, keep_hours=24 * 400))


def use(opened: Opened, prefix: str, ago: timedelta, **codes: int) -> dict[str, KeyUse]:
    found = opened.store.find(prefix)
    assert found
    at = to_milliseconds(opened.clock() - ago)
    return {found.key.id: KeyUse({at // HOUR: codes or {"VALID": 1}}, at if codes.get("VALID", not codes) else None)}


def in_the_past(opened: Opened, cli: Cli) -> dict[str, str]:
    """Make keys of all kinds, on the machine's clock in the end."""
    cli.env["KEYCTL_STORE"] = opened.store.location.url
    now = utc_now()

    def mint(days: float, **new: object) -> str:
        opened.clock.now = now - timedelta(days=days)
        return opened.mint(**{"owner": "acme", "expires": "365d", "scopes": ["read"], **new})[0].record.key.prefix  # type: ignore[arg-type]

    made = {
        "due": mint(100),
        "expiring": mint(5, expires="12d"),
        "stale": mint(95.5),
        "never-used": mint(30),
        "moved": mint(40),
        "refused": mint(3),
        "no-owner": mint(2, owner=None),
        "no-expiry": mint(2, expires="never"),
        "fine": mint(1),
        "revoked": mint(20),
    }
    opened.clock.now = now - timedelta(days=2)
    opened.admin.revoke(Selection.named(made["revoked"]))
    made["successor"] = opened.rotate(made["moved"], grace=timedelta(days=30)).record.key.prefix
    opened.clock.now = now
    return made


@pytest.fixture
def kept(opened: Opened, cli: Cli) -> Kept:
    made = in_the_past(opened, cli)
    hour, uses = timedelta(hours=1), {}
    for name in ("due", "expiring", "no-owner", "no-expiry", "fine", "successor"):
        uses |= use(opened, made[name], hour)
    uses |= use(opened, made["moved"], timedelta(days=3))
    uses |= use(opened, made["stale"], timedelta(days=95))
    uses |= use(opened, made["refused"], hour, VALID=300, FORBIDDEN_SCOPE=120, KEY_LOCKED=1)
    record(opened, uses, days=100)
    return Kept(opened, cli, made)


# ── what is found ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_kind_of_finding_is_counted_and_named(kept: Kept):
    sections = kept.sections()

    assert list(sections) == list(SECTIONS)
    found = {name: [one.prefix for one in section.examples] for name, section in sections.items()}
    assert found.pop("due") == [kept.prefixes["due"], kept.prefixes["stale"]]
    assert found.pop("unused-scopes") == ["write", "admin"]
    assert found == {name: [kept.prefixes[name]] for name in found}
    assert all(section.count == len(section.examples) for section in sections.values())
    assert [one.why for one in sections["refused"].examples] == ["121 of 421 refused, mostly FORBIDDEN_SCOPE"]
    assert sections["expiring"].examples[0].why == "expires in 7d"
    assert all(section.command for section in sections.values())


def test_statuses_and_weeks_add_up(kept: Kept):
    report = kept.report()

    assert {status: count for status, count in report.statuses.items() if count} == {
        Status.ACTIVE: 9,
        Status.RETIRING: 1,
        Status.REVOKED: 1,
    }
    assert report.live == 10
    # The one that was replaced is meant to end, and is not counted.
    assert sum(week.keys for week in report.weeks) + report.later + report.never == 9
    assert (report.never, report.expiring_within(1), report.expiring_within(2)) == (1, 0, 1)
    assert report.peak.keys == 1


def test_a_week_begins_at_the_time_of_the_report_and_ends_before_the_next(opened: Opened):
    opened.mint(count=2, expires="7d")
    opened.mint(count=3, expires="604799s")
    opened.mint(expires="365d")

    report = gather(opened.store, Filters(), thresholds=Thresholds(), now=opened.clock())

    assert [week.keys for week in report.weeks[:3]] == [3, 2, 0]
    assert (report.later, report.peak.start) == (1, opened.clock())


def test_without_a_recorder_nothing_is_said_about_use(opened: Opened, cli: Cli):
    in_the_past(opened, cli)

    sections = {
        s.name: s for s in gather(opened.store, Filters(), thresholds=Thresholds(), now=opened.clock()).sections
    }

    for name in ("never-used", "stale", "refused"):
        assert (sections[name].count, sections[name].examples) == (None, ())
        assert sections[name].note == "no recorder reports to this store: keyctl help usage"
    assert cli("report", check=0).out.count("?  keys") == 3


def test_a_recorder_that_began_lately_proves_little(opened: Opened, cli: Cli):
    made = in_the_past(opened, cli)
    record(opened, use(opened, made["fine"], timedelta(hours=1)), days=2)

    sections = {
        s.name: s for s in gather(opened.store, Filters(), thresholds=Thresholds(), now=opened.clock()).sections
    }

    assert sections["never-used"].count is None
    assert "which is not long enough" in (sections["never-used"].note or "")
    assert "use may be missing: the recorder api began" in (sections["stale"].note or "")


def test_filters_select_and_are_part_of_what_to_type(kept: Kept):
    kept.opened.clock.advance(minutes=1)
    kept.opened.mint(owner="globex", expires="1d", environment="test")

    answer = kept.cli("report", "--json", "--owner", "globex", "--env", "test", check=0).json

    assert (answer["live"], answer["filters"]) == (1, "--owner globex --env test")
    [expiring] = [section for section in answer["sections"] if section["name"] == "expiring"]
    assert expiring["command"].endswith("--owner globex --env test")
    assert kept.cli("report", "--json", "--owner", "acme", "--below", check=0).json["live"] == 9
    refused(kept.cli, "report", "--below", code=2, says="--below requires --owner")


# ── how it is told ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
@pytest.mark.parametrize("columns", [80, 50])
def test_the_page_fits_a_terminal_and_names_whole_prefixes(kept: Kept, columns: int):
    shown = kept.cli.tty("report", columns=columns, rows=200, check=0).out
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)

    assert plain != shown
    too_long = [line for line in plain.splitlines() if len(line) > columns and "keyctl " not in line]
    assert too_long == []
    assert all(prefix in plain for name, prefix in kept.prefixes.items() if name in SECTIONS)
    assert "█" in plain
    assert re.search(r"^ *1  key expiring within 30d$", plain, re.MULTILINE)
    assert "keyctl list --due" in plain


@pytest.mark.parametrize(
    ("first", "months"),
    [("2026-11-27", "    Dec     Jan "), ("2026-11-20", "  Nov Dec     Jan "), ("2026-12-01", "  Dec       Jan ")],
)
def test_every_month_below_the_bars_is_named_unless_only_one_week_of_it_is_left(first: str, months: str):
    begin = datetime.fromisoformat(first).replace(tzinfo=UTC)
    weeks = [Week(begin + timedelta(weeks=i), int(i == 4)) for i in range(26)]
    report = Report("s.db", begin, "", {Status.ACTIVE: 2}, weeks, 1, 0, [Section("due", "due", 0)])

    page = "\n".join(report_lines(report, width=80, style=Style(escapes=False, color=False)))

    assert f"\n  {months}" in page
    assert "1 expires later, 0 never" in page
    assert "1 expires later, 0 never." in "".join(html(report))


@pytest.mark.sqlite
def test_json_has_every_section_and_a_pipe_no_escape_sequences(kept: Kept):
    answer = kept.cli("report", "--format", "json", "--limit", "0", check=0).json

    assert list(answer) == [
        *("store", "at", "filters", "live", "statuses", "expiring_by_week", "expiring_later", "never_expiring"),
        "sections",
    ]
    assert [section["name"] for section in answer["sections"]] == list(SECTIONS)
    assert all(section["examples"] == [] for section in answer["sections"])
    assert len(answer["expiring_by_week"]) == 26
    assert "\x1b" not in kept.cli("report", check=0).out


def hostile(kept: Kept) -> Report:
    report = kept.report()
    named = Named("kc_live_x", HOSTILE, f"{HOSTILE}\n", HOSTILE)
    return replace(
        report, store=HOSTILE, only=HOSTILE, sections=[Section("due", HOSTILE, 9, [named], HOSTILE, HOSTILE)]
    )


class Page(HTMLParser):
    """Checks that elements are nested, and collects them with the text."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.sqlite
def test_the_html_page_is_whole_loads_nothing_and_shows_a_hostile_name_as_text(kept: Kept):
    page, plain = Page(), Page()
    page.feed(html(hostile(kept)))
    plain.feed(html(kept.report()))

    assert (page.open, plain.open) == ([], [])
    assert page.text.count(HOSTILE) == 9  # title, heading, filters, section, note, name, owner, why, command
    tags = {tag for tag, _ in page.elements}
    assert tags == {tag for tag, _ in plain.elements}
    assert not tags & {"script", "img", "link", "iframe", "b>", "a"}
    attributes = {name for _, found in page.elements for name in found}
    assert attributes <= {"lang", "charset", "http-equiv", "content", "name", "class", "title", "style"}
    assert "prefers-color-scheme: dark" in page.text


@pytest.mark.sqlite
def test_a_hostile_name_is_no_markup_in_a_row_of_markdown(kept: Kept):
    [row] = [line for line in markdown(hostile(kept)).splitlines() if line.startswith("| `kc_live_x`")]

    cells = re.split(r"(?<!\\)(?:\\\\)*\|", row)
    assert len(cells) == 6
    assert not re.search(r"(?<!\\)[<`*_\[]", row.replace("`kc_live_x`", "").replace("\\\\", ""))
    assert "| --- | --- | --- | --- |" in markdown(kept.report())


METRIC = re.compile(r'([a-z_]+)(?:\{([a-z]+)="([a-z0-9-]+)"\})? (\d+)')


@pytest.mark.sqlite
def test_the_text_for_prometheus_follows_its_format_and_names_no_key(kept: Kept):
    text = prometheus(kept.report())

    assert text.endswith("\n")
    typed: set[str] = set()
    values: dict[tuple[str, str | None], int] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            word, name, rest = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line).groups()  # type: ignore[union-attr]
            assert word == "HELP" or rest == "gauge"
            assert (name in typed) is False
            typed |= {name} if word == "TYPE" else set()
            continue
        sample = METRIC.fullmatch(line)
        assert sample, line
        assert sample[1] in typed  # a family's samples follow its type, all together
        assert (sample[1], sample[3]) not in values
        values[sample[1], sample[3]] = int(sample[4])
    assert values["keyctl_keys", "active"] == 9
    assert values["keyctl_report_findings", "due"] == 2
    assert values["keyctl_keys_expiring", "14"] == 1
    assert not any(prefix in text for prefix in [*kept.prefixes.values(), "acme"])


# ── for a schedule ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.sqlite
def test_a_watched_section_with_a_finding_exits_9_and_one_that_is_unknown_5(kept: Kept):
    found = kept.cli("report", "--fail-on", "expiring,stale", "--fail-on", "moved", check=9)
    assert "valid keys" in found.out
    assert found.err.startswith("keyctl: error: the report has findings: 1 key expiring within 30d, 1 key not used")
    narrow = ("report", "--expiring-within", "5d", "--unused-for", "96d", "--fail-on", "expiring,stale")
    assert kept.cli(*narrow, check=0).err == ""
    error = refused(kept.cli, "report", "--fail-on", "expirin", code=2, says='unknown section "expirin"')
    assert 'did you mean "expiring"?' in error.err


@pytest.mark.sqlite
def test_what_is_watched_and_unknown_is_no_success(opened: Opened, cli: Cli):
    in_the_past(opened, cli)

    result = cli("report", "--fail-on", "never-used", check=5)

    assert "it is unknown whether there are findings: never-used" in result.err
    assert "no recorder reports to this store" in result.err


@pytest.mark.sqlite
def test_a_file_is_replaced_in_one_step_and_readable_for_the_collector(kept: Kept):
    file = kept.cli.cwd / "keyctl.prom"
    file.write_text("old")
    result = kept.cli.shell("umask 027; keyctl report --format prometheus --out keyctl.prom")

    assert (result.out, result.err) == ("", "keyctl: wrote keyctl.prom\n")
    assert file.read_text().startswith("# HELP keyctl_keys ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in kept.cli.cwd.iterdir()] == ["keyctl.prom"]
    (kept.cli.cwd / "link").symlink_to("keyctl.prom")
    for out in ("link", "no/such/folder"):
        refused(kept.cli, "report", "--out", out, code=2, says=out)
    refused(kept.cli, "report", "--format", "pdf", code=2, says='unknown format "pdf"')
    assert "--json cannot be used with --format html" in kept.cli("report", "--format", "html", "--json", check=2).err


@pytest.mark.sqlite
def test_a_report_changes_nothing_and_needs_no_admin_token(kept: Kept):
    kept.cli("admin-token", "set", stdin="correct horse battery staple", check=0)
    before = dump(kept.cli)

    kept.cli("report", check=0)

    assert dump(kept.cli) == before
