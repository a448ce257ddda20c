"""`make bench` measures; what it counts, it counts the same on every machine, and here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.benchmarks.counts import COUNTS, Count


@pytest.mark.parametrize("count", COUNTS, ids=lambda count: count.__name__)
def test_what_can_be_counted_is_as_promised(count: Callable[[], Count]):
    counted = count()

    assert counted.right, f"{counted.name}: {counted.found}"
