"""Each row of the threat model names tests that exist."""

from __future__ import annotations

import re

from tests.documents.pages import ROOT

TEXT = (ROOT / ".github/THREAT_MODEL.md").read_text()
ROWS = [line for line in TEXT.splitlines() if re.match(r"\| (?!---|attempt|fault \|)", line)]


def test_each_attempt_is_stopped_by_something_that_a_test_shows():
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", tests, re.MULTILINE))

    assert len(ROWS) > 35
    for row in ROWS:
        attempt, stopped_by, shown_by = row.strip("| ").split(" | ")
        named = re.findall(r"`(test_\w+)`", shown_by)
        assert attempt
        assert stopped_by
        assert named, row
        assert set(named) <= defined, row
