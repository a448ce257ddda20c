"""Bundles: signed, dated copies of what verification needs, for places with neither server nor database.

A bundle holds hashes of keys and never a secret; names and handles are optional.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple
from weakref import finalize

from keyctl.bundles.format import (
    TABLES,
    BundleDamaged,
    FirstLine,
    Reference,
    TableReader,
    read_block,
    read_first_line,
    read_json,
    read_references,
    signed_bytes,
    to_base64url,
    to_json,
)
from keyctl.bundles.signing import Trust, is_signed_by
from keyctl.errors import BundleUntrusted, ProfileInvalid
from keyctl.hashing import Scheme, parameters_from_dict
from keyctl.keyformat import KeyFormat
from keyctl.models import Key, KeyRecord, Owner
from keyctl.profiles.model import Profile, read_profile
from keyctl.regular_files import open_regular
from keyctl.rows import RowDamaged, decode_key, decode_owner, encode_key, encode_owner
from keyctl.times import format_duration, format_time

VERSION = 1
SKEW = timedelta(minutes=5)
_EMPTY_KEY = {
    "name": None, "metadata": "{}", "created_by": "", "revoked_reason": None, "delivered_at": None, "replaces": None,
    "last_used_at": None,
}  # fmt: skip
_EMPTY_OWNER = {"handle": "", "name": None, "created_at": 0, "created_by": ""}


@dataclass(frozen=True)
class Header:
    """The header of a bundle. `filter` holds the filters of the export.

    `peppers` are what a reader's pepper file must have: ids, and `none` if some keys have a pepper and others none.
    """

    store_id: str
    sequence: int
    made_at: datetime
    valid_until: datetime
    filter: Mapping[str, Any]
    with_names: bool
    rules: Reference
    tables: Mapping[str, Sequence[Reference]]
    peppers: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "store_id": self.store_id,
            "sequence": self.sequence,
            "made_at": format_time(self.made_at),
            "valid_until": format_time(self.valid_until),
            "filter": dict(self.filter),
            "with_names": self.with_names,
            "rules": list(self.rules),
            **{name: [list(reference) for reference in self.tables[name]] for name in TABLES},
            **({"peppers": list(self.peppers)} if self.peppers else {}),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Header:
        """Read what `to_dict` wrote, after its signature was checked. Raises BundleDamaged."""
        try:
            if data["version"] != VERSION:
                raise BundleDamaged(f"it is of version {data['version']}: upgrade keyctl")
            header = cls(
                store_id=data["store_id"],
                sequence=int(data["sequence"]),
                made_at=datetime.fromisoformat(data["made_at"]),
                valid_until=datetime.fromisoformat(data["valid_until"]),
                filter=data["filter"],
                with_names=bool(data["with_names"]),
                rules=read_references([data["rules"]])[0],
                tables={name: read_references(data[name]) for name in TABLES},
                peppers=tuple(map(str, data.get("peppers", ()))),
            )
            if not isinstance(data["store_id"], str) or to_json({**data, **header.to_dict()}) != to_json(data):
                raise BundleDamaged("its header is not as keyctl writes it")
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            if isinstance(error, BundleDamaged):
                raise
            raise BundleDamaged("its header cannot be read") from None
        return header


class Seen(NamedTuple):
    """The newest bundle of a store that was accepted on this machine."""

    sequence: int
    made_at: datetime


class Bundle:
    """An open bundle whose first line is trusted: a keyring. Its blocks are checked when they are read.

    Raises BundleUntrusted, on opening and on every look-up.
    """

    def __init__(self, path: Path, *, trust: Iterable[Trust]) -> None:
        self.path = path
        self._file = _open(path)
        try:
            line = read_first_line(self._file)
            trusted = _check_signature(line, trust)
            self.signer = line.signer
            self.header = _read_header(line, trusted)
            _check_length(self._file, line.length, self.header)
            rules = _read_rules(self._file, line.length, self.header)
            self.profile, self.hash_parameters, self.formats, self.foreign_hashes = rules
        except BundleDamaged as error:
            self._file.close()
            raise _damaged(path, error) from None
        except BaseException:
            self._file.close()
            raise
        # A replaced bundle is not closed, but left to the garbage collector: another thread may be reading it.
        finalize(self, self._file.close)
        self._tables = {
            name: TableReader(self._file, line.length, indexes) for name, indexes in self.header.tables.items()
        }
        self._mentioned_by: dict[str, list[str]] | None = None  # read when the first preflight comes

    def check_age(self, now: datetime, *, max_age: timedelta | None = None, seen: Seen | None = None) -> None:
        """Raise BundleUntrusted unless the bundle is valid now, and no older than the one accepted before."""
        header = self.header
        if seen and (header.sequence < seen.sequence or header.made_at < seen.made_at):
            raise BundleUntrusted(
                "sequence",
                f"the bundle {self.path} of {format_time(header.made_at)} is older than one seen before, "
                f"of {format_time(seen.made_at)}",
                hint="fetch the newest one; to accept an older one: --no-state",
            )
        if header.made_at - now > SKEW:
            raise BundleUntrusted(
                "clock",
                f"the bundle {self.path} is from the future: it was made at {format_time(header.made_at)}",
                hint="set this machine's clock",
            )
        if now >= header.valid_until:
            raise BundleUntrusted("age", f"the bundle {self.path} was valid until {format_time(header.valid_until)}")
        if max_age is not None and now - header.made_at > max_age:
            raise BundleUntrusted(
                "age",
                f"the bundle {self.path} was made at {format_time(header.made_at)}: "
                f"longer ago than {format_duration(max_age)}",
            )

    # ── the keyring ──────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, prefix: str, *, deadline: float | None = None) -> KeyRecord | None:  # noqa: ARG002 - a file needs none
        row = self._look_up("keys", prefix)
        if row is None:
            return None
        key = _read_key(prefix, row)
        return KeyRecord(key, self._chain(key.owner_id) if key.owner_id else ())

    def find_owners(self, handle: str, *, deadline: float | None = None) -> tuple[Owner, ...]:  # noqa: ARG002 - a file needs none
        """Find by handle where the bundle has names, else by id."""
        row = self._look_up("handles", handle) if self.header.with_names else {"id": handle}
        if row is None:
            return ()
        if not isinstance(row.get("id"), str):
            raise BundleUntrusted("damaged", f"the bundle's row of the handle {handle} cannot be read")
        return self._chain(row["id"], must_exist=self.header.with_names)

    def owners_mentioning(self, text: str, *, deadline: float | None = None) -> list[tuple[Owner, ...]]:  # noqa: ARG002 - a file needs none
        if self._mentioned_by is None:
            self._mentioned_by = self._read_mentions()
        return [self._chain(owner_id) for owner_id in self._mentioned_by.get(text, ())]

    def every_key(self) -> Iterator[Key]:
        """Yield all keys, checking every block of the table."""
        return (_read_key(name, row) for name, row in self._every("keys"))

    def every_owner(self) -> Iterator[Owner]:
        return (_read_owner(name, row) for name, row in self._every("owners"))

    def every_record(self) -> Iterator[KeyRecord]:
        """Yield all keys with their owners, checking every block of the table of keys."""
        chains: dict[str | None, tuple[Owner, ...]] = {None: ()}
        for key in self.every_key():
            if key.owner_id not in chains:
                chains[key.owner_id] = self._chain(key.owner_id or "")
            yield KeyRecord(key, chains[key.owner_id])

    def close(self) -> None:
        self._file.close()

    def _read_mentions(self) -> dict[str, list[str]]:
        """Return, for each text in a list attribute, the ids of the owners that have it.

        Every owner is read for that, once: a browser's preflight carries no key, so anyone may send one.
        """
        found: dict[str, list[str]] = {}
        for owner in self.every_owner():
            lists = [value for value in owner.attributes.values() if isinstance(value, list)]
            for text in {text for texts in lists for text in texts if isinstance(text, str)}:
                found.setdefault(text, []).append(owner.id)
        return found

    def _chain(self, owner_id: str, *, must_exist: bool = True) -> tuple[Owner, ...]:
        chain: list[Owner] = []
        wanted: str | None = owner_id
        while wanted is not None:
            row = self._look_up("owners", wanted)
            if row is None or any(owner.id == wanted for owner in chain):
                if not chain and not must_exist:
                    return ()
                raise _damaged(self.path, BundleDamaged("an owner is missing, or is its own ancestor"))
            chain.append(_read_owner(wanted, row))
            wanted = chain[-1].parent_id
        return tuple(chain)

    def _look_up(self, table: str, name: str) -> dict[str, Any] | None:
        try:
            return self._tables[table].find(name)
        except BundleDamaged as error:
            raise _damaged(self.path, error) from None

    def _every(self, table: str) -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            yield from self._tables[table].every()
        except BundleDamaged as error:
            raise _damaged(self.path, error) from None


# ── rows: inverses side by side ──────────────────────────────────────────────────────────────────────────────────────


def key_row(key: Key, *, with_names: bool) -> dict[str, Any]:
    """Return the values of a key in a bundle: only what verification needs."""
    row = encode_key(key)
    hidden = {*_EMPTY_KEY, "prefix", *(("lineage",) if key.lineage == key.id else ())}
    kept = {name: value for name, value in row.items() if name not in hidden}
    return {**kept, **({"name": key.name} if with_names else {})}


def _read_key(prefix: str, row: Mapping[str, Any]) -> Key:
    try:
        return decode_key({**_EMPTY_KEY, "lineage": row["id"], **row, "prefix": prefix})
    except (KeyError, RowDamaged):
        raise BundleUntrusted("damaged", f"the bundle's row of {prefix} cannot be read") from None


def owner_row(owner: Owner, profile: Profile, *, with_names: bool) -> dict[str, Any]:
    """Return the values of an owner in a bundle. The profile chooses which of its attributes are exported."""
    kind = profile.owners.kinds.get(owner.kind)
    public = {name for name, attribute in (kind.attributes if kind else {}).items() if attribute.bundle}
    narrowed = replace(owner, attributes={name: owner.attributes[name] for name in owner.attributes.keys() & public})
    row = encode_owner(narrowed)
    hidden = _EMPTY_OWNER.keys() - ({"handle", "name"} if with_names else set())
    return {name: value for name, value in row.items() if name not in hidden and name != "id"}


def _read_owner(owner_id: str, row: Mapping[str, Any]) -> Owner:
    try:
        return decode_owner({**_EMPTY_OWNER, "handle": owner_id, **row, "id": owner_id})
    except (KeyError, RowDamaged):
        raise BundleUntrusted("damaged", f"the bundle's row of owner {owner_id} cannot be read") from None


# ── opening, in this order ───────────────────────────────────────────────────────────────────────────────────────────


def _open(path: Path) -> IO[bytes]:
    try:
        return open_regular(path)
    except OSError as error:
        raise BundleUntrusted("damaged", f"cannot read the bundle {path}: {error.strerror}") from None


def _check_signature(line: FirstLine, trust: Iterable[Trust]) -> list[Trust]:
    """Return the signer's entries in `trust`. Raises BundleUntrusted if there is none, or the signature is wrong."""
    trusted = [one for one in trust if one.public_key == line.signer]
    if not trusted:
        raise BundleUntrusted(
            "signer",
            f"the bundle is signed by {to_base64url(line.signer)}, which is not trusted",
            hint="if this is the operator's key: --trust PUBLIC-KEY",
        )
    if not is_signed_by(line.signer, line.signature, signed_bytes(line.header)):
        raise BundleUntrusted("signature", "the bundle's signature is wrong: it was altered or truncated")
    return trusted


def _read_header(line: FirstLine, trusted: list[Trust]) -> Header:
    """Read the header. Raises BundleUntrusted if it is of a store that the signer is not trusted for."""
    header = Header.from_dict(read_json(line.header))
    if not any(one.store_id in (None, header.store_id) for one in trusted):
        raise BundleUntrusted("store", f"the bundle's signer is not trusted for its store: {header.store_id}")
    return header


def _check_length(file: IO[bytes], start: int, header: Header) -> None:
    """Raise BundleDamaged if the file does not end with the last block that the header names: an index, or the rules.

    Bytes after it would be covered by no signature.
    """
    references = [header.rules, *(one for table in header.tables.values() for one in table)]
    expected = start + max(reference.offset + reference.length for reference in references)
    length = os.fstat(file.fileno()).st_size
    if length != expected:
        raise BundleDamaged("it is truncated" if length < expected else "bytes were appended to it")


def _read_rules(
    file: IO[bytes], start: int, header: Header
) -> tuple[Profile, Scheme, tuple[KeyFormat, ...], tuple[str, ...]]:
    rules = read_json(read_block(file, start, header.rules))
    try:
        profile = read_profile(rules["profile"], source="the profile in the bundle")
        earlier = [KeyFormat.from_dict(data) for data in rules["earlier_formats"]]
        foreign = tuple(map(str, rules.get("foreign_hashes", ())))
        return profile, parameters_from_dict(rules["hash"]), (*profile.formats, *earlier), foreign
    except (AttributeError, KeyError, TypeError, ValueError, ProfileInvalid):
        raise BundleDamaged("its rules cannot be read") from None


def _damaged(path: Path, error: BundleDamaged) -> BundleUntrusted:
    return BundleUntrusted("damaged", f"the bundle {path} cannot be trusted: {error}", hint="fetch it again")


def bundle_facts(bundle: Bundle, *, now: datetime) -> dict[str, Any]:
    """Return the JSON object that describes a bundle."""
    header = bundle.header
    return {
        "store_id": header.store_id,
        "sequence": header.sequence,
        "made_at": format_time(header.made_at),
        "valid_until": format_time(header.valid_until),
        "age_seconds": max(0, int((now - header.made_at).total_seconds())),
        "signer": to_base64url(bundle.signer),
        "filter": dict(header.filter),
        "peppers": list(header.peppers),
    }
