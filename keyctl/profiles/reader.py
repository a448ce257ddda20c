"""Reads tables of a profile document, and collects every fault with its path instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from keyctl.errors import UsageError, suggestion
from keyctl.times import NEVER, parse_duration

_MISSING: Any = object()
_ENOUGH_FAULTS = 20  # after which none gets a suggestion: each takes milliseconds in a large profile
_LARGEST = 2**63 - 1  # TOML's integers have 64 bits, and Python's none: some are too long to be printed


class Table:
    """One table of the document. Each value is read by its key; `finish` reports the keys that were not read."""

    def __init__(self, data: object, path: str, faults: list[str]) -> None:
        self.path = path
        self._faults = faults
        self._read: set[str] = set()
        if not isinstance(data, Mapping):
            self.fault("", f"expected a table, got {_describe(data)}")
            data = {}
        self._data: Mapping[str, Any] = data

    def fault(self, key: str | tuple[str, ...], text: str) -> None:
        """Record what is wrong with a key, or at a path of keys below this table."""
        keys = (key,) if isinstance(key, str) else key
        path = ".".join(part for part in (self.path, *map(_quoted, keys)) if part)
        self._faults.append(f"{path}: {text}" if path else text)

    def __contains__(self, key: str) -> bool:
        return key in self._data

    @property
    def faultless(self) -> bool:
        """Whether no fault was found so far in this table and below."""
        return not any(fault.startswith(self.path) for fault in self._faults)

    def names(self) -> list[str]:
        """Return the keys of a table whose keys are chosen by its author, such as environments."""
        return list(self._data)

    def text(self, key: str, default: str | None = _MISSING, *, choices: Iterable[str] = ()) -> str:
        faults = len(self._faults)
        value: str = self._typed(key, str, "text", default)
        allowed = list(choices)
        if allowed and len(self._faults) == faults and value not in (None, *allowed):
            self.fault(key, f'"{value[:40]}" is not one of {", ".join(allowed)}{self.suggest(value, allowed)}')
            return allowed[0]
        return value

    def integer(self, key: str, default: int = _MISSING, *, minimum: int = 0, maximum: int | None = None) -> int:
        faults = len(self._faults)
        value: int = self._typed(key, int, "a whole number", default)
        if len(self._faults) > faults:
            return minimum
        if value < minimum:
            self.fault(key, f"{value} is less than {minimum}")
            return minimum
        if maximum is not None and value > maximum:
            self.fault(key, f"{value} is more than {maximum}")
            return maximum
        return value

    def boolean(self, key: str, *, default: bool) -> bool:
        value: bool = self._typed(key, bool, "true or false", default)
        return value

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self._typed(key, list, "a list of texts", list(default))
        if not all(isinstance(item, str) for item in value):
            self.fault(key, "expected a list of texts")
            return default
        if len(set(value)) < len(value):
            self.fault(key, "has an entry twice")
        return tuple(value)

    def duration(self, key: str, default: str) -> timedelta | None:
        """Return a duration; `never` is None."""
        value = self.text(key, default)
        if value == NEVER:
            return None
        try:
            return parse_duration(value)
        except UsageError as error:
            self.fault(key, error.message)
            return None

    def raw(self, key: str) -> object:
        self._read.add(key)
        value = self._data.get(key)
        if isinstance(value, int) and abs(value) > _LARGEST:
            self.fault(key, "is too large")
            return None
        return value

    def peek(self, *path: str) -> object:
        """Return what is at a path, None if nothing is. It still has to be read, which reports its faults."""
        found: object = self._data
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def table(self, key: str) -> Table:
        return Table(self._typed(key, Mapping, "a table", {}), self._below(key), self._faults)

    def tables(self, key: str) -> Iterator[tuple[str, Table]]:
        """Yield the tables of a table, by name and in the document's order."""
        parent = self.table(key)
        for name, data in parent._data.items():
            yield name, Table(data, parent._below(name), self._faults)

    def array(self, key: str) -> Iterator[Table]:
        """Yield the tables of an array of tables."""
        for i, data in enumerate(self._typed(key, list, "an array of tables", [])):
            yield Table(data, f"{self._below(key)}[{i}]", self._faults)

    def finish(self) -> None:
        for key in self._data:
            if key not in self._read:
                self.fault(key, f"unknown key{self.suggest(key, self._read)}")

    def suggest(self, word: str, known: Iterable[str]) -> str:
        """Return the end of a fault's text: the known word that is most like `word`, if one is."""
        hint = suggestion(word, known) if len(self._faults) < _ENOUGH_FAULTS else None
        return f": {hint}" if hint else ""

    def _below(self, key: str) -> str:
        return f"{self.path}.{_quoted(key)}" if self.path else _quoted(key)

    def _typed(self, key: str, kind: type, what: str, default: Any) -> Any:
        self._read.add(key)
        value = self._data.get(key, _MISSING)
        if value is _MISSING:
            if default is _MISSING:
                self.fault(key, f"is missing: expected {what}")
                return kind()
            return default
        # bool is a subclass of int, and `minimum = true` is a mistake
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fault(key, f"expected {what}, got {_describe(value)}")
            return kind() if default is _MISSING or default is None else default
        if isinstance(value, int) and abs(value) > _LARGEST:
            self.fault(key, "is too large")
        return value


def _quoted(key: str) -> str:
    shown = key if len(key) <= 100 else f"{key[:100]}…"
    return shown if not key or all(c.isalnum() or c in "_-" for c in shown) else f'"{shown}"'


def _describe(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value[:40]}"'
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "a number that is too large"
    if isinstance(value, int | float):
        return str(value)
    return "a list" if isinstance(value, list) else "a table" if isinstance(value, Mapping) else "a date"
