"""Owners in the database, and the ancestors of owners and keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, insert, select, update

from keyctl.errors import NotFound, suggestion
from keyctl.models import Key, KeyRecord, Owner
from keyctl.rows import AsWritten, RowDamaged, as_written, decode_owner, encode, encode_owner
from keyctl.store.chunks import chunks
from keyctl.store.tables import owners
from keyctl.store.transaction import execute
from keyctl.text import brief


def get(connection: Connection, handle: str, *, lock: bool = False, otherwise: str = "see: keyctl owner list") -> Owner:
    """Return the owner with this handle or id. Raises NotFound; `otherwise` is its hint, beside a similar handle."""
    owner = find(connection, handle, lock=lock)
    if owner is None:
        query = select(owners.c.handle).where(owners.c.handle.startswith(handle[:2], autoescape=True)).limit(1000)
        hint = suggestion(handle, connection.execute(query).scalars(), otherwise=otherwise)
        raise NotFound(f'no owner "{brief(handle)}"', hint=hint)
    return owner


def find(connection: Connection, handle: str, *, lock: bool = False) -> Owner | None:
    query = select(owners).where((owners.c.handle == handle) | (owners.c.id == handle))
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return decode_owner(row) if row else None


def by_handles(connection: Connection, handles: Sequence[str]) -> dict[str, Owner]:
    """Return the owners with these handles, by handle; unknown ones are omitted."""
    found = [
        decode_owner(row)
        for chunk in chunks(list(handles))
        for row in connection.execute(select(owners).where(owners.c.handle.in_(chunk))).mappings()
    ]
    return {owner.handle: owner for owner in found}


def with_ancestors(connection: Connection, handle: str) -> tuple[Owner, ...]:
    """Return the owner with this handle and its ancestors, nearest first; empty if there is none."""
    row = connection.execute(select(owners).where(owners.c.handle == handle)).mappings().first()
    return _chains(connection, [row["id"]])[row["id"]] if row else ()


def page(connection: Connection, *, by: str, after: str, limit: int) -> list[Owner]:
    """Return owners in the order of their ids or handles (`by`), from the one after `after` on."""
    column = owners.c[by]
    query = select(owners).where(column > after).order_by(column).limit(limit)
    return [decode_owner(row) for row in connection.execute(query).mappings()]


def ids_below(owner_ids: Sequence[str]) -> Select[tuple[str]]:
    """Return the query for the ids of these owners and of all owners below them."""
    tree = select(owners.c.id).where(owners.c.id.in_(owner_ids)).cte("below", recursive=True)
    # UNION, without ALL, also ends where an owner was made its own ancestor outside keyctl.
    tree = tree.union(select(owners.c.id).join(tree, owners.c.parent_id == tree.c.id))
    return select(tree.c.id)


@cache  # a statement may have the condition several times, and only one definition of the tree
def ids_of_disabled() -> Select[tuple[str]]:
    """Return the query for the ids of the owners that are disabled, and of all owners below these."""
    tree = select(owners.c.id).where(owners.c.disabled_at.is_not(None)).cte("disabled", recursive=True)
    tree = tree.union(select(owners.c.id).join(tree, owners.c.parent_id == tree.c.id))
    return select(tree.c.id)


def handle_of(owner_id: ColumnElement[str | None]) -> ScalarSelect[str]:
    """Return the query for the handle of the owner with this id."""
    return select(owners.c.handle).where(owners.c.id == owner_id).scalar_subquery()


def ids_with_ancestors(connection: Connection, owner_ids: set[str]) -> set[str]:
    return {owner.id for chain in _chains(connection, sorted(owner_ids)).values() for owner in chain}


def mentioning(connection: Connection, text: str) -> list[tuple[Owner, ...]]:
    """Return the owners with an attribute whose value, or one of whose values, is `text`, each with its ancestors."""
    value = json.dumps(text, ensure_ascii=False)
    found = connection.execute(select(owners.c.id).where(owners.c.attributes.contains(value, autoescape=True)))
    ids = list(found.scalars())
    chains = _chains(connection, ids)
    return [chains[owner_id] for owner_id in ids]


def attach(connection: Connection, keys: Sequence[Key]) -> list[KeyRecord]:
    """Return each key with its owner and that owner's ancestors. Runs one query for each level of the tree."""
    chains = _chains(connection, {key.owner_id for key in keys if key.owner_id})
    return [KeyRecord(key, chains[key.owner_id] if key.owner_id else ()) for key in keys]


def every(connection: Connection, *, kind: str | None = None, parent_id: str | None = None) -> list[Owner]:
    query = select(owners).order_by(owners.c.handle)
    if kind:
        query = query.where(owners.c.kind == kind)
    if parent_id:
        query = query.where(owners.c.parent_id == parent_id)
    return [decode_owner(row) for row in connection.execute(query).mappings()]


def every_as_written(connection: Connection) -> Iterator[AsWritten[Owner]]:
    """Yield all owners in the order of their ids."""
    for row in connection.execute(select(owners).order_by(owners.c.id)).mappings():
        altered = f"owner {row['handle']} was altered outside keyctl"
        yield as_written(dict(row), row["id"], altered, decode_owner, encode_owner)


def add(connection: Connection, owner: Owner) -> None:
    execute(connection, insert(owners), encode_owner(owner))


def set_columns(connection: Connection, owner_id: str, **values: Any) -> None:
    """Set these columns of one owner, and read them again. Raises RowDamaged if they are not there."""
    encoded = encode(values)
    execute(connection, update(owners).where(owners.c.id == owner_id).values(**encoded))
    written = connection.execute(select(owners).where(owners.c.id == owner_id)).mappings().one()
    for name, value in encoded.items():
        if written[name] != value:
            raise RowDamaged(f"{name} of owner {owner_id} cannot be set, and nothing was changed")


def _chains(connection: Connection, owner_ids: Iterable[str]) -> dict[str, tuple[Owner, ...]]:
    known: dict[str, Owner] = {}
    wanted = set(owner_ids)
    while wanted:
        level = [
            decode_owner(row)
            for chunk in chunks(sorted(wanted))
            for row in connection.execute(select(owners).where(owners.c.id.in_(chunk))).mappings()
        ]
        known |= {owner.id: owner for owner in level}
        if missing := wanted - known.keys():
            raise RowDamaged(f"owner {min(missing)} is missing")
        wanted = {owner.parent_id for owner in level if owner.parent_id is not None} - known.keys()
    return {owner_id: _chain(known, owner_id) for owner_id in owner_ids}


def _chain(known: dict[str, Owner], owner_id: str) -> tuple[Owner, ...]:
    chain = [known[owner_id]]
    while (parent_id := chain[-1].parent_id) is not None:
        if len(chain) > len(known):
            raise RowDamaged(f"owner {chain[0].handle} is its own ancestor")
        chain.append(known[parent_id])
    return tuple(chain)
