from __future__ import annotations

import json
from typing import Any

import pytest

from keyctl.usage.counts import Counts
from keyctl.usage.report import HOUR, Identity, KeyUse, Report, from_line, is_name, to_line, uses_of

REPORT = Report(
    store_id="store_01",
    recorder=Identity("api", "ab12", "web1", 4242),
    sequence=7,
    every=60_000,
    since=1_760_000_000_000,
    until=1_760_000_010_000,
    keys={"key_1": KeyUse({488_888: {"VALID": 12, "WRONG_SECRET": 1}}, 1_760_000_009_500)},
)


def test_a_line_is_read_as_it_was_written():
    line = to_line(REPORT)

    assert "\n" not in line
    assert from_line(line.encode()) == REPORT
    assert json.loads(line)["keys"]["key_1"] == {
        "last_used_at": "2025-10-09T08:53:29.500Z",
        "hours": {"2025-10-09T08:00:00Z": {"VALID": 12, "WRONG_SECRET": 1}},
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "keyctl-usage-v2"),
        (("extra",), 1),
        (("sequence",), 0),
        (("sequence",), True),
        (("sequence",), "1"),
        (("every",), -1),
        (("every",), 3_600_001),
        (("since",), "2025-10-09"),
        (("since",), "2025-10-09T08:53:20+01:00"),
        (("since",), "2025-10-09T08:53:20+00:00"),
        (("since",), "2025-10-09T08:53:20"),
        (("since",), "9999-12-31T23:59:59Z"),
        (("since",), 1_760_000_000_000),
        (("dropped",), None),
        (("ended",), 1),
        (("store_id",), 5),
        (("recorder",), None),
        (("recorder", "name"), "a b"),
        (("recorder", "name"), None),
        (("recorder", "host"), "a\nb"),
        (("recorder", "pid"), "1"),
        (("recorder", "more"), 1),
        (("keys",), []),
        (("keys", "key_1\ud800"), {"last_used_at": None, "hours": {}}),
        (("keys", "key_1\0"), {"last_used_at": None, "hours": {}}),
        (("keys", "key_1"), None),
        (("keys", "key_1", "more"), 1),
        (("keys", "key_1", "last_used_at"), "yesterday"),
        (("keys", "key_1", "hours"), {"2025-10-09T08:30:00Z": {"VALID": 1}}),
        (("keys", "key_1", "hours"), {"2025-10-09T08:00:00Z": {"SOMETHING": 1}}),
        (("keys", "key_1", "hours"), {"2025-10-09T08:00:00Z": {"VALID": 0}}),
        (("keys", "key_1", "hours"), {"2025-10-09T08:00:00Z": {"VALID": 1.5}}),
    ],
)
def test_a_line_of_another_form_is_refused(path: tuple[str, ...], value: Any):
    content = json.loads(to_line(REPORT))
    inside = content
    for name in path[:-1]:
        inside = inside[name]
    inside[path[-1]] = value

    with pytest.raises(ValueError, match=r"^its? "):
        from_line(json.dumps(content).encode())


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b"null", b"x", b"[" * 100_000, b"\xff", to_line(REPORT)[:-1].encode()]
)
def test_what_is_no_report_is_refused(line: bytes):
    with pytest.raises(ValueError, match=r"^it is not "):
        from_line(line)


@pytest.mark.parametrize("name", list(REPORT.__dataclass_fields__))
def test_a_line_without_a_field_is_refused(name: str):
    content = json.loads(to_line(REPORT))
    del content[name]

    with pytest.raises(ValueError, match="a field that is missing"):
        from_line(json.dumps(content).encode())


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a/b", "é", "x" * 101, "a\n"])
def test_a_name_that_could_be_misread_is_none(name: str):
    assert not is_name(name)


def test_counts_are_by_key_and_hour_and_code():
    counts = Counts(10, clock := Clock(3 * 3600 + 5.5))
    for _ in range(3):
        counts.add("key_2", "VALID")
    clock.now = 4 * 3600
    counts.add("key_2", "KEY_LOCKED")
    counts.add("key_1", "WRONG_SECRET")

    assert uses_of(counts.take()) == {
        "key_1": KeyUse({4: {"WRONG_SECRET": 1}}),
        "key_2": KeyUse({3: {"VALID": 3}, 4: {"KEY_LOCKED": 1}}, 3 * HOUR + 5500),
    }
    assert uses_of(counts.take()) == {}


def test_what_there_is_no_room_for_is_counted_as_dropped():
    counts = Counts(2)
    for key_id in ("key_1", "key_2", "key_3", "key_4", "key_1"):
        counts.add(key_id, "VALID")

    assert counts.dropped == 2
    taken = counts.take()
    assert (taken.dropped, sum(count for count, _ in taken.cells.values())) == (2, 3)
    assert counts.dropped == 0


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
