"""Shows what `keyctl apply` would change or has changed: as lines with a sign and a color, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from keyctl.cli.output import Output
from keyctl.desired.plan import Difference, KeyStep, OwnerStep, Plan, Revocation, name_of
from keyctl.text import visible

if TYPE_CHECKING:
    from keyctl.models import KeyRecord

_STYLES = {"+": "green", "~": "yellow", "-": "red"}


class Line(NamedTuple):
    """A line of the differences, with its sign: `+`, `~` or `-`."""

    sign: str
    text: str


def lines(plan: Plan) -> Iterator[Line]:
    """Yield what the steps of a plan do, in their order."""
    for owner in plan.owners:
        yield from _step("+" if owner.added else "~", f"owner {owner.described.handle}", owner)
    for key in plan.changes:
        name = name_of(key.owner, key.environment, key.described.name)
        yield from _step("~", f"key {name}  {key.prefix}", key)
    for key in plan.new_keys:
        yield from _step("+", f"key {name_of(key.owner, key.environment, key.described.name)}", key)
    for revoked in plan.revocations:
        yield Line("-", f"key {name_of(revoked.owner, revoked.environment, revoked.name)}  {revoked.prefix}")


def summary(plan: Plan, *, done: bool = False) -> str:
    """Count the steps of a plan."""
    counts = [
        (sum(one.added for one in plan.owners) + len(plan.new_keys), "added" if done else "to add"),
        (sum(not one.added for one in plan.owners) + len(plan.changes), "changed" if done else "to change"),
        (len(plan.revocations), "revoked" if done else "to revoke"),
    ]
    return ", ".join(f"{count:,} {what}" for count, what in counts if count)


def show(output: Output, plan: Plan) -> None:
    """Print the differences; in color on a terminal."""
    output.answer_lines(output.style(f"{sign} {visible(text)}", _STYLES[sign]) for sign, text in lines(plan))


def plan_object(
    plan: Plan, *, applied: bool, minted: Mapping[str, KeyRecord] | None = None, files: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Return the plan for `--json`. `minted` are the new keys by the path in the description, `files` where each is."""
    minted, files = minted or {}, files or {}

    def key(step: KeyStep, action: str) -> dict[str, Any]:
        path = step.described.path
        record = minted.get(path)
        return _object(
            action,
            "key",
            owner=step.owner,
            name=step.described.name,
            environment=step.environment,
            prefix=record.key.prefix if record else step.prefix,
            differences=step.differences,
            out=files.get(path) if record else None,
        )

    return {
        "applied": applied,
        "steps": [
            *map(_owner, plan.owners),
            *(key(step, "change") for step in plan.changes),
            *(key(step, "add") for step in plan.new_keys),
            *map(_revocation, plan.revocations),
        ],
        "undescribed": {"keys": len(plan.undescribed), "owners": len(plan.undescribed_owners)},
    }


def _step(sign: str, title: str, step: OwnerStep | KeyStep) -> Iterator[Line]:
    yield Line(sign, title)
    for one in step.differences:
        if one.old is None:
            yield Line("+", f"    {one.field}: {one.new}")
        elif one.new is None:
            yield Line("-", f"    {one.field}: {one.old}")
        else:
            yield Line("~", f"    {one.field}: {one.old} → {one.new}")


def _owner(step: OwnerStep) -> dict[str, Any]:
    action = "add" if step.added else "change"
    return _object(action, "owner", owner=step.described.handle, differences=step.differences)


def _revocation(step: Revocation) -> dict[str, Any]:
    return _object("revoke", "key", owner=step.owner, name=step.name, environment=step.environment, prefix=step.prefix)


def _object(
    action: str,
    kind: str,
    *,
    owner: str | None,
    name: str | None = None,
    environment: str | None = None,
    prefix: str | None = None,
    differences: tuple[Difference, ...] = (),
    out: Path | None = None,
) -> dict[str, Any]:
    """Return the JSON object of a step: of one shape, whatever it is about."""
    return {
        "action": action,
        "type": kind,
        "owner": owner,
        "name": name,
        "environment": environment,
        "prefix": prefix,
        "changes": [{"field": one.field, "old": one.old, "new": one.new} for one in differences],
        "out": str(out) if out else None,
    }
