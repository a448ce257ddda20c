from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyctl.errors import UsageError
from keyctl.text import visible
from keyctl.times import (
    describe_relative,
    format_duration,
    format_time,
    from_milliseconds,
    parse_duration,
    parse_since,
    parse_until,
    parse_when,
    to_milliseconds,
    truncate,
    utc_now,
)
from tests.fuzzing import examples, mutated
from tests.samples import NOW

NAIVE = datetime(2026, 7, 1, 12, 0, 0)  # noqa: DTZ001 - it must be refused
SECOND = timedelta(seconds=1)

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1971, 1, 1), datetime(9998, 1, 1), timezones=zones)  # noqa: DTZ001
whole_seconds = st.integers(0, 100 * 365 * 86400).map(lambda seconds: timedelta(seconds=seconds))


# ── durations ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        ("1", SECOND),
        ("3600", timedelta(hours=1)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(days=14)),
        ("007d", timedelta(days=7)),
        ("315360000", timedelta(days=3650)),
        ("36500d", timedelta(days=36500)),
        ("1y", timedelta(days=365)),
        ("100y", timedelta(days=36500)),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text: str, duration: timedelta):
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "d",
        "-1d",
        "+1d",
        "1.5d",
        "1e9d",
        "1_000d",
        "1,000d",
        "1D",
        "1  d",
        " 1d",
        "1d ",
        "1d\n",
        "1dys",
        "1ds",
        "1dayss",
        "day",
        "a day",
        "1 Day",
        "1d,12h",
        "1d and 12h",
        "1d-12h",
        "1d 12",
        "12 1d",
        "1d12",
        "P1D",
        "never",
        "tomorrow",
        "infinity",
        "nan",
        "0x10",
        "１d",
        "٣d",
        "²d",
        "9999999999999d",
        "[bold]",
        "1d\x1b[31m",
    ],
)
def test_anything_else_is_no_duration(text: str):
    with pytest.raises(UsageError) as error:
        parse_duration(text)

    assert "is not a duration" in error.value.message
    assert "24h" in error.value.hint
    assert error.value.message.isprintable()


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("1d12h", timedelta(days=1, hours=12)),
        ("1d 12h", timedelta(days=1, hours=12)),
        ("1d0h", timedelta(days=1)),
        ("0d12h", timedelta(hours=12)),
        ("1h90m", timedelta(hours=2, minutes=30)),
        ("1y1w1d1h1m1s", timedelta(days=373, hours=1, minutes=1, seconds=1)),
        ("1y 135d", timedelta(days=500)),  # as `describe_relative` writes it
        ("2 weeks 3 days", timedelta(days=17)),
        ("1 hour30 minutes", timedelta(minutes=90)),
    ],
)
def test_units_may_be_combined(text: str, duration: timedelta):
    assert parse_duration(text) == duration


@pytest.mark.parametrize("unit", ["second", "minute", "hour", "day", "week", "year"])
def test_a_unit_may_be_named_in_words(unit: str):
    for text in (f"3{unit[0]}", f"3 {unit[0]}", f"3 {unit}", f"3 {unit}s", f"3{unit}", f"3{unit}s"):
        assert parse_duration(text) == parse_duration(f"1{unit[0]}") * 3


@pytest.mark.parametrize("text", ["12h1d", "1d1d", "1d24h1d", "1m1h", "1 day 1 year", "1d 1days"])
def test_combined_units_come_once_and_in_descending_order(text: str):
    with pytest.raises(UsageError) as error:
        parse_duration(text)

    assert "is not a duration" in error.value.message
    assert error.value.hint == "give each unit once, the largest first: 1d12h"


@pytest.mark.parametrize("text", ["1mo", "3mos", "1mon", "1 month", "3months", "3 months", "1y6mo", "1M", "1mo2d"])
@pytest.mark.parametrize("parse", [parse_duration, partial(parse_when, now=NOW), partial(parse_since, now=NOW)])
def test_a_month_is_refused_with_the_reason(text: str, parse: Callable[[str], object]):
    with pytest.raises(UsageError) as error:
        parse(text)

    assert "a month has no fixed length, and m is minutes" in str(error.value.hint)


@pytest.mark.parametrize("text", ["2026-12-31", "2026-12-31T00:00:00Z"])
def test_a_date_is_no_duration(text: str):
    with pytest.raises(UsageError) as error:
        parse_duration(text)

    assert (error.value.message, error.value.hint) == (
        f'"{text}" is not a duration',
        "say how long, not when: 24h, 90 days",
    )


@given(st.lists(st.tuples(st.integers(0, 99), st.booleans(), st.booleans()), min_size=6, max_size=6))
def test_combined_units_mean_their_sum(parts: list[tuple[int, bool, bool]]):
    names = {"year": 31536000, "week": 604800, "day": 86400, "hour": 3600, "minute": 60, "second": 1}
    words, total = [], 0
    for (name, size), (count, in_words, spaced) in zip(names.items(), parts, strict=True):
        words.append(f"{count}{' ' * spaced}{f'{name}s' if in_words else name[0]}")
        total += count * size

    if total <= 36500 * 86400:
        assert parse_duration("".join(words)) == parse_duration(" ".join(words)) == timedelta(seconds=total)


def test_plain_seconds_beyond_ten_years_are_asked_about():
    assert parse_duration("315360000")
    with pytest.raises(UsageError) as error:
        parse_duration("315360001")

    assert error.value.message == '"315360001" seconds is more than ten years: a Unix time?'
    assert "30d" in error.value.hint


@pytest.mark.parametrize("text", ["36501d", "5215w", "3153600001s", "876001h", "999999999999w", "101y", "100y1s"])
def test_no_duration_is_longer_than_a_hundred_years(text: str):
    with pytest.raises(UsageError) as error:
        parse_duration(text)

    assert "more than a hundred years" in error.value.message
    assert "never" in error.value.hint


@given(whole_seconds)
def test_a_duration_is_written_as_it_is_read(duration: timedelta):
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(days=90), "90d"),
        (timedelta(hours=24), "24h"),  # "in the last 24h" reads better
        (timedelta(hours=48), "2d"),
        (timedelta(hours=36), "36h"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=90), "90s"),
        (timedelta(days=14), "14d"),
    ],
)
def test_a_duration_is_written_in_its_largest_whole_unit(duration: timedelta, text: str):
    assert format_duration(duration) == text


# ── times to come ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("never", None),
        ("1", NOW + SECOND),
        ("30d", NOW + timedelta(days=30)),
        ("2w", NOW + timedelta(days=14)),
        ("3650d", NOW + timedelta(days=3650)),
        ("1y", NOW + timedelta(days=365)),
        ("1d12h", NOW + timedelta(hours=36)),
        ("90 days", NOW + timedelta(days=90)),
        ("2026-07-01T12:00:01Z", NOW + SECOND),
        ("2026-07-01T12:00:00.001Z", NOW + timedelta(milliseconds=1)),
        ("2026-07-01t12:00:01z", NOW + SECOND),
        ("2026-07-01 12:00:01Z", NOW + SECOND),
        ("2026-07-01T12:00:01+00:00", NOW + SECOND),
        ("2026-07-01T12:00:01-00:00", NOW + SECOND),
        ("2026-07-01T14:00:01+02:00", NOW + SECOND),
        ("2026-07-01T07:00:01-05:00", NOW + SECOND),
        ("2026-07-02T11:45:01+23:45", NOW + SECOND),
        ("2026-07-01T17:30:01+05:30", NOW + SECOND),
        ("2026-07-01T12:00:01.123456789Z", NOW + SECOND + timedelta(milliseconds=123)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
        ("2027-01-01T00:30:00+01:00", datetime(2026, 12, 31, 23, 30, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_time_to_come_is_read(text: str, moment: datetime | None):
    read = parse_when(text, now=NOW)

    assert read == moment
    assert read is None or read.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-07-01", datetime(2026, 7, 2, tzinfo=UTC)),  # today
        ("2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2028-02-29", datetime(2028, 3, 1, tzinfo=UTC)),
        ("9999-12-31", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_key_that_expires_on_a_date_is_valid_to_the_end_of_that_day(text: str, moment: datetime):
    assert parse_when(text, now=NOW) == moment


@given(st.dates(datetime(1971, 1, 1).date(), datetime(9998, 1, 1).date()))  # noqa: DTZ001
def test_a_period_of_one_date_is_that_day_in_utc(day: date):
    now = datetime(9999, 1, 1, tzinfo=UTC)
    since, until = parse_since(day.isoformat(), now=now), parse_until(day.isoformat(), now=now)

    assert format_time(since) == f"{day}T00:00:00Z"
    assert until - since == timedelta(days=1)
    assert parse_when(day.isoformat(), now=since) == until


def test_a_past_date_is_refused_with_when_it_ended():
    with pytest.raises(UsageError) as error:
        parse_when("2026-06-30", now=NOW)

    assert error.value.message == '"2026-06-30" is in the past: that day has ended in UTC'
    assert "keyctl revoke" in str(error.value.hint)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("1d12h", NOW - timedelta(hours=36)),
        ("0", NOW),
        ("2026-07-01", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-07-01T12:00:00Z", NOW),
        ("1969-12-31", datetime(1970, 1, 1, tzinfo=UTC)),
        ("100y", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_beginning_of_a_period_is_read(text: str, moment: datetime):
    assert parse_since(text, now=NOW) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("2026-06-30", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-07-01T11:00:00Z", NOW - timedelta(hours=1)),
        ("2030-01-01", datetime(2030, 1, 2, tzinfo=UTC)),
        ("1960-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_end_of_a_period_is_read(text: str, moment: datetime):
    assert parse_until(text, now=NOW) == moment


@pytest.mark.parametrize("text", ["2026-07-02", "2026-07-01T12:00:01Z"])
def test_a_period_does_not_begin_in_the_future(text: str):
    with pytest.raises(UsageError) as error:
        parse_since(text, now=NOW)

    assert error.value.message == f'"{text}" is in the future'


@pytest.mark.parametrize("parse", [parse_since, parse_until])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("yesterday", "is not a time"),
        ("never", "is not a time"),
        ("2026-02-30", "is not a date in the calendar"),
        ("2026-06-01T00:00:00", "is not RFC 3339 with a zone"),
    ],
)
def test_a_period_that_cannot_be_read_is_refused_with_what_can(parse: Callable[..., object], text: str, says: str):
    with pytest.raises(UsageError) as error:
        parse(text, now=NOW)

    assert says in error.value.message
    assert "how long ago (24h), a date (2027-01-31) or" in str(error.value.hint)


@pytest.mark.parametrize("text", ["0", "0s", "0d", "00", "000w", "0d0h", "0 days"])
def test_a_zero_duration_is_refused_with_how_to_end_a_key(text: str):
    with pytest.raises(UsageError) as error:
        parse_when(text, now=NOW)

    assert error.value.message == f'"{text}" must be greater than zero'
    assert "keyctl revoke" in error.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "2026-07-01T12:00:00Z",  # now is not to come
        "2026-07-01T12:00:00.0009Z",
        "2026-07-01T11:59:59Z",
        "2026-07-01T13:59:59+02:00",
        "2026-07-01T06:59:59-05:00",
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
    ],
)
def test_a_past_time_is_refused_with_how_to_end_a_key(text: str):
    with pytest.raises(UsageError) as error:
        parse_when(text, now=NOW)

    assert error.value.message == f'"{text}" is in the past'
    assert "keyctl revoke" in error.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "2027-02-30T00:00:00Z",
        "2027-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2027-13-01T00:00:00Z",
        "2027-02-30",
        "2027-13-01",
        "0000-01-01",
        "2027-00-01T00:00:00Z",
        "2027-01-00T00:00:00Z",
        "2027-04-31T00:00:00Z",
        "2027-01-01T24:00:01Z",
        "2027-01-01T25:00:00Z",
        "2027-01-01T00:60:00Z",
        "2027-01-01T00:00:60Z",
        "2027-01-01T00:00:00+24:00",
        "2027-01-01T00:00:00+25:00",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-00:01",
        "0001-01-01T00:00:00+00:01",
    ],
)
def test_a_day_or_hour_that_does_not_exist_is_refused(text: str):
    with pytest.raises(UsageError) as error:
        parse_when(text, now=NOW)

    assert error.value.message == f'"{text}" is not a date in the calendar'


@pytest.mark.parametrize(
    "text",
    [
        "2027-01-31T00:00:00",
        "2027-01-31 00:00:00",
        "2027-01-31T00:00Z",
        "2027-01-31T00Z",
        "2027-01-31Z",
        "2027-01-31T00:00:00 Z",
        "2027-01-31T00:00:00+02",
        "2027-01-31T00:00:00+0200",
        "2027-01-31T00:00:00Europe/Paris",
        "2027-01-31T00:00:00 UTC",
        "2027-01-31T00:00:00,5Z",
        "2027-01-31T00:00:00.Z",
        "2027-01-31T00:00:00Z\n",
        "2027-01-31T00:00:00ZZ",
        "2027-01-31_00:00:00Z",
    ],
)
def test_a_date_without_a_zone_or_a_time_is_refused(text: str):
    with pytest.raises(UsageError) as error:
        parse_when(text, now=NOW)

    assert "is not RFC 3339 with a zone" in error.value.message
    assert "2027-01-31T00:00:00Z" in error.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-1d",
        "1e9d",
        "tomorrow",
        "now",
        "Never",
        "NEVER",
        " never",
        "never ",
        "none",
        "null",
        "２０２７-01-31T00:00:00Z",
        "20270131T000000Z",
        "2027-W05-1T00:00:00Z",
        "27-01-31T00:00:00Z",
        "02027-01-31T00:00:00Z",
        "2027-1-31",
        "2027/01/31",
        "-2027-01-31T00:00:00Z",
        "31/01/2027",
        "Sun, 31 Jan 2027 00:00:00 GMT",
        "[/x]",
        "\x1b[31mred",
        "x" * 10_000,
    ],
)
def test_what_is_no_time_is_refused_in_a_short_message(text: str):
    with pytest.raises(UsageError) as error:
        parse_when(text, now=NOW)

    assert "is not a time" in error.value.message
    assert len(error.value.message) < 120
    assert error.value.message.isprintable()


def test_a_unix_time_is_asked_about():
    with pytest.raises(UsageError) as error:
        parse_when("1790000000", now=NOW)

    assert "a Unix time?" in error.value.message


@given(moments)
def test_a_time_is_written_as_it_is_read(moment: datetime):
    text = format_time(moment)

    assert text.endswith("Z")
    assert parse_when(text, now=datetime(1970, 1, 1, tzinfo=UTC)) == truncate(moment)


# ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(moments)
def test_milliseconds_and_times_are_inverses(moment: datetime):
    milliseconds = to_milliseconds(moment)

    assert from_milliseconds(milliseconds) == truncate(moment)
    assert to_milliseconds(from_milliseconds(milliseconds)) == milliseconds
    assert from_milliseconds(milliseconds).tzinfo is UTC
    assert timedelta(0) <= moment - from_milliseconds(milliseconds) < timedelta(milliseconds=1)


@pytest.mark.parametrize("boundary", [truncate, to_milliseconds, format_time])
def test_a_naive_time_is_refused(boundary):
    with pytest.raises(ValueError, match="naive"):
        boundary(NAIVE)


@pytest.mark.parametrize(("moment", "now"), [(NAIVE, NOW), (NOW, NAIVE)])
def test_a_naive_time_is_not_compared_with_an_aware_one(moment: datetime, now: datetime):
    with pytest.raises(TypeError):
        describe_relative(moment, now=now)


def test_now_is_in_utc_and_in_whole_milliseconds():
    now = utc_now()

    assert now.tzinfo is UTC
    assert now == truncate(now)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW, "2026-07-01T12:00:00Z"),
        (NOW + timedelta(milliseconds=5), "2026-07-01T12:00:00.005Z"),
        (NOW + timedelta(microseconds=999), "2026-07-01T12:00:00Z"),
        (datetime(2026, 7, 1, 14, tzinfo=timezone(timedelta(hours=2))), "2026-07-01T12:00:00Z"),
        (datetime(2026, 7, 1, 17, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-07-01T12:00:00Z"),
    ],
)
def test_times_are_written_in_utc(moment: datetime, text: str):
    assert format_time(moment) == text


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("duration", "described"),
    [
        (timedelta(0), "now"),
        (timedelta(milliseconds=400), "now"),
        (SECOND, "in 1s"),
        (timedelta(seconds=80), "in 1m 20s"),
        (timedelta(seconds=120), "in 2m"),
        (timedelta(minutes=10) - SECOND, "in 9m 59s"),
        (timedelta(minutes=10, seconds=20), "in 10m"),
        (timedelta(hours=1), "in 1h"),
        (timedelta(hours=1) - SECOND, "in 1h"),
        (timedelta(minutes=118), "in 1h 58m"),
        (timedelta(hours=24) - SECOND, "in 1d"),
        (timedelta(hours=9, minutes=59), "in 9h 59m"),
        (timedelta(hours=12, minutes=40), "in 13h"),
        (timedelta(hours=30, minutes=10), "in 1d 6h"),
        (timedelta(days=9, hours=23), "in 9d 23h"),
        (timedelta(days=30) - SECOND, "in 30d"),
        (timedelta(days=90), "in 90d"),
        (timedelta(days=365) - SECOND, "in 1y"),
        (timedelta(days=500), "in 1y 135d"),
        (timedelta(days=3650), "in 10y"),
        (timedelta(days=3700), "in 10y"),
        (-SECOND, "1s ago"),
        (-timedelta(seconds=89), "1m 29s ago"),
        (-timedelta(hours=2), "2h ago"),
        (-timedelta(days=3, hours=4, minutes=20), "3d 4h ago"),
    ],
)
def test_how_far_away_a_time_is_said_in_its_two_largest_units(duration: timedelta, described: str):
    assert describe_relative(NOW + duration, now=NOW) == described


@given(st.integers(0, 100 * 365 * 86400))
def test_how_far_away_a_time_is_said_within_a_twentieth(seconds: int):
    described = describe_relative(NOW + timedelta(seconds=seconds), now=NOW)

    sizes = {"y": 31536000, "d": 86400, "h": 3600, "m": 60, "s": 1}
    parts = re.findall(r"(\d+)([ydhms])", described)
    assert len(parts) <= 2
    assert abs(sum(int(count) * sizes[unit] for count, unit in parts) - seconds) <= seconds / 20


# ── anything ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TIMES = ["30d", "24h", "0", "90s", "36500d", "315360000", "999999999999w", "never", "2027-01-31T00:00:00Z"]
TIMES += ["1d12h", "90 days", "1y", "3 weeks 2 hours", "2026-12-31", "1mo"]
TIMES += ["9999-12-31T23:59:59.999999999+00:00", "0001-01-01t00:00:00-23:59", "2028-02-29 23:59:59.5Z"]


@examples(200, 10_000)
@given(mutated(st.sampled_from(TIMES)) | st.text(max_size=30))
def test_a_text_is_a_duration_that_is_written_as_it_is_read_or_is_refused(text: str):
    try:
        duration = parse_duration(text)
    except UsageError as error:
        assert visible(error.message) == error.message  # noqa: PT017 - most texts are refused, not all
        return

    assert timedelta(0) <= duration <= timedelta(days=36500)
    assert parse_duration(format_duration(duration)) == duration


@examples(200, 10_000)
@example("９999-12-31T23:59:59Z")
@example("0001-01-01T00:00:00+23:59")
@given(mutated(st.sampled_from(TIMES)) | st.text(max_size=30))
def test_a_text_is_a_time_that_is_written_as_it_is_read_or_is_refused(text: str):
    try:
        moment = parse_when(text, now=NOW)
    except UsageError as error:
        assert visible(error.message) == error.message  # noqa: PT017 - most texts are refused, not all
        return

    assert moment is None or moment > NOW
    assert parse_when(format_time(moment) if moment else "never", now=NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "9" * 100_000,
        "1" * 99_999 + "d",
        "1d" * 50_000,
        "1 " * 50_000,
        "1" + "d" * 100_000,
        "2027-01-31T00:00:00." + "0" * 100_000 + "Z",
    ],
)
def test_a_long_text_is_refused_and_not_repeated(text: str):
    for parse in (parse_duration, lambda text: parse_when(text, now=NOW)):
        with pytest.raises(UsageError) as error:
            parse(text)
        assert len(error.value.message) < 150
