"""How long keys live."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from keyctl.profiles.reader import Table
from keyctl.times import NEVER


class Lifetime(NamedTuple):
    """Durations; None is never. `grace` is how long a rotated key stays valid along with its successor."""

    default: timedelta | None = None
    maximum: timedelta | None = None
    rotate_every: timedelta | None = None
    grace: timedelta = timedelta(0)


def read_lifetime(root: Table) -> Lifetime:
    """Read how long keys live, and report contradictions."""
    table = root.table("lifetime")
    lifetime = Lifetime(
        default=table.duration("default", "never"),
        maximum=table.duration("maximum", "never"),
        rotate_every=table.duration("rotate_every", "never"),
        grace=table.duration("grace", "0") or timedelta(0),
    )
    if table.raw("grace") == NEVER:
        table.fault("grace", "must not be never: a replaced key must expire")
    for name in ("default", "maximum", "rotate_every"):
        if getattr(lifetime, name) == timedelta(0):
            table.fault(name, 'must be greater than zero; for no limit: "never"')
    if lifetime.maximum and (lifetime.default is None or lifetime.default > lifetime.maximum):
        table.fault("default", "is longer than lifetime.maximum")
    table.finish()
    return lifetime
