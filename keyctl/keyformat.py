"""The format of a key's text: generate, parse and write it.

A format is a template of literal text, enumerated tags (`{brand}`, `{env}`, `{scope}`) and random fields of fixed
length (`{prefix}`, `{secret}`), closed by an optional `{checksum}`. Parsing goes by position and by tags that are
uniquely decodable, never by splitting on a character that a random field may hold.

The default, `<brand>_<env>_<12>_<32><6>` in base62 with a CRC-32, is modeled on GitHub's token format:
https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import product
from typing import Any, NamedTuple
from zlib import crc32

from keyctl import key_layouts
from keyctl.key_layouts import Layout
from keyctl.random_text import draw

ALPHABETS: Mapping[str, str] = {
    "hex": "0123456789abcdef",
    "base32": "abcdefghijklmnopqrstuvwxyz234567",
    "base36": "0123456789abcdefghijklmnopqrstuvwxyz",
    "base58": "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
    "base62": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    "base64url": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
}
MAX_KEY_LENGTH = 512
MINIMUM_SECRET_BITS = 128
MINIMUM_FOREIGN_SECRET_BITS = 80  # of other programs, which had no minimum: still far too many to be guessed
_ALPHABET = re.compile(r"[!-~]{2,}")
_FIXED = re.compile(r"[0-9A-Za-z_.:~-]+", re.ASCII)
_MOST_LAYOUTS = 5000
_PLACEHOLDER = re.compile(r"\{([a-z]*)\}")
_RANDOM = ("prefix", "secret", "checksum")
_TAGGED = ("env", "scope")


class FormatError(ValueError):
    """A template whose keys could not be parsed. The text says why."""


class MalformedKey(ValueError):
    """A text that is not a key of this format. `reason` is `malformed` or `checksum`; the text itself is never held."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Field(NamedTuple):
    """A random field, or the checksum: `length` characters of `alphabet` (a name in ALPHABETS, or the characters).

    With `shortest`, as only a foreign secret has, its length is from that to `length`.
    """

    alphabet: str
    length: int
    shortest: int | None = None

    @property
    def least(self) -> int:
        return self.length if self.shortest is None else self.shortest

    @property
    def characters(self) -> str:
        return ALPHABETS.get(self.alphabet, self.alphabet)

    @property
    def possible(self) -> bool:
        distinct = len(set(self.characters)) == len(self.characters) and bool(_ALPHABET.fullmatch(self.characters))
        return distinct and 1 <= self.least <= self.length <= MAX_KEY_LENGTH

    @property
    def bits(self) -> float:
        return self.least * math.log2(len(self.characters))

    @property
    def expression(self) -> str:
        """A regular expression for its text."""
        lengths = f"{self.length}" if self.least == self.length else f"{self.least},{self.length}"
        return f"{character_class(self.characters)}{{{lengths}}}"


@dataclass(frozen=True)
class ParsedKey:
    """The parts of a key's text. `secret` and `checksum` must never be shown."""

    prefix: str
    env: str | None
    scope: str | None
    random: str
    secret: str = field(repr=False)
    checksum: str = field(repr=False)


class GeneratedKey(NamedTuple):
    prefix: str
    text: str

    def __repr__(self) -> str:
        return f"GeneratedKey(prefix={self.prefix!r})"


@dataclass(frozen=True)
class KeyFormat:
    """One template with its tags and fields. `envs` and `scopes` are tags, not names of environments and scopes.

    `foreign` is the name of a format whose keys another program made: they are parsed, and none are generated.
    """

    template: str
    prefix: Field
    secret: Field
    checksum: Field | None = None
    brand: str = ""
    envs: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    foreign: str | None = None

    # ── text → parts, parts → text ───────────────────────────────────────────────────────────────────────────────

    def parse(self, text: str) -> ParsedKey:
        """Parse a key. Raises MalformedKey unless `text` is exactly what `format` would write.

        Looks nothing up. The checksum detects typing errors; it proves nothing.
        """
        parsed = self.parse_unchecked(text)
        if self.format(parsed) != text:
            raise MalformedKey("checksum")
        return parsed

    def parse_unchecked(self, text: str) -> ParsedKey:
        """Parse a text of this shape, whatever its checksum. Raises MalformedKey for any other shape."""
        match = self._pattern.fullmatch(text) if len(text) <= MAX_KEY_LENGTH else None
        if not match:
            raise MalformedKey("malformed")
        parts = match.groupdict()
        return ParsedKey(
            prefix=text[: match.end("prefix")],
            env=parts.get("env"),
            scope=parts.get("scope"),
            random=parts["prefix"],
            secret=parts["secret"],
            checksum=parts.get("checksum", ""),
        )

    def format(self, parsed: ParsedKey) -> str:
        """Write a key's text: the inverse of `parse`."""
        values = {"env": parsed.env, "scope": parsed.scope, "prefix": parsed.random, "secret": parsed.secret}
        body = "".join(
            value if kind == "text" else values[value] or "" for kind, value in self.parts if value != "checksum"
        )
        return body + (_checksum(body, self.checksum) if self.checksum else "")

    def generate(self, count: int = 1, *, env: str | None = None, scope: str | None = None) -> list[GeneratedKey]:
        """Draw `count` keys from the operating system's random source. Prefixes may repeat: the caller redraws."""
        prefixes = draw(self.prefix.characters, self.prefix.length, count)
        secrets = draw(self.secret.characters, self.secret.length, count)
        head, between, tail = self._pieces(env, scope)
        keys = []
        for random, secret in zip(prefixes, secrets, strict=True):
            prefix = head + random
            body = prefix + between + secret + tail
            keys.append(GeneratedKey(prefix, body + (_checksum(body, self.checksum) if self.checksum else "")))
        return keys

    # ── recognizing ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def prefix_space(self) -> int:
        """The number of possible prefixes for one combination of tags."""
        return math.prod([len(self.prefix.characters)] * self.prefix.length)

    def to_dict(self) -> dict[str, Any]:
        """Return the format as JSON values. The store keeps it when its profile changes to another."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> KeyFormat:
        """Read what `to_dict` wrote. Raises AttributeError, KeyError, TypeError or ValueError for anything else."""
        key_format = cls(
            template=data["template"],
            prefix=Field(*data["prefix"]),
            secret=Field(*data["secret"]),
            checksum=Field(*data["checksum"]) if data["checksum"] else None,
            brand=data["brand"],
            envs=tuple(data["envs"]),
            scopes=tuple(data["scopes"]),
            foreign=data.get("foreign"),
        )
        key_format.check()
        return key_format

    # ── checks made once, when a profile is read ─────────────────────────────────────────────────────────────────

    def check(self) -> None:
        """Raise FormatError if keys of this format could not be distinguished, recognized, or kept secret."""
        names = [value for kind, value in self.parts if kind == "field"]
        for name in ("prefix", "secret"):
            if names.count(name) != 1:
                raise FormatError(f"needs {{{name}}} exactly once")
        for name in (*_TAGGED, "checksum"):
            if names.count(name) > 1:
                raise FormatError(f"has {{{name}}} more than once")
        if names.index("prefix") > names.index("secret"):
            raise FormatError("needs {prefix} before {secret}")
        if set(names[names.index("prefix") + 1 : names.index("secret")]) & set(_TAGGED):
            raise FormatError("needs {env} and {scope} before {prefix}: the prefix identifies the key")
        if set(names[names.index("secret") + 1 :]) - {"checksum"}:
            raise FormatError("has a field other than {checksum} after {secret}")
        if ("checksum" in names) != (self.checksum is not None):
            raise FormatError("and fields.checksum go together: give both or neither")
        for random in (self.prefix, self.secret, self.checksum):
            if random and not random.possible:
                raise FormatError("has a field with an impossible alphabet or length")
        if self.checksum and self.parts[-1] != ("field", "checksum"):
            raise FormatError("needs {checksum} at its end")
        if self.checksum and self.checksum.bits < 32:
            raise FormatError("has a {checksum} too short for a CRC-32")
        for name in _TAGGED:
            if not all(_FIXED.fullmatch(tag) for tag in self.choices(name) if tag != ""):
                raise FormatError(f"may hold only letters, digits and _ - . : ~ in the tags of {{{name}}}")
        if not self.recognizable and self.foreign is None:
            raise FormatError("must begin with two or more fixed characters, so that a leaked key can be recognized")
        least = MINIMUM_SECRET_BITS if self.foreign is None else MINIMUM_FOREIGN_SECRET_BITS
        if self.secret.bits < least:
            raise FormatError(f"has a {{secret}} of {self.secret.bits:.0f} bits: at least {least}")
        if self.foreign is not None:
            self._check_foreign()
        elif any(random and random.shortest is not None for random in (self.prefix, self.secret, self.checksum)):
            raise FormatError("has a field without a fixed length")
        if math.prod(len(self.choices(name)) for name in _TAGGED) > _MOST_LAYOUTS:
            raise FormatError(f"has more than {_MOST_LAYOUTS:,} combinations of its tags")
        if max(map(len, self.layouts())) > MAX_KEY_LENGTH:
            raise FormatError(f"makes keys longer than {MAX_KEY_LENGTH} characters")
        if key_layouts.ambiguous(self.layouts()):
            raise FormatError("cannot be parsed by position: two of its tags can match the same key")

    def _check_foreign(self) -> None:
        if any(self.has(name) for name in (*_TAGGED, "checksum")) or self.prefix.shortest is not None:
            raise FormatError("may have only {prefix}, of a fixed length, and {secret} if its keys are foreign")
        if self.parts[-1] != ("field", "secret"):
            raise FormatError("must end with {secret} if its keys are foreign")

    @property
    def recognizable(self) -> bool:
        """Whether keys begin with two or more fixed characters. Those of other programs may not."""
        kind, literal = self.parts[0]
        return kind == "text" and len(literal) >= 2

    def layouts(self) -> Iterator[Layout]:
        """Yield, for each combination of tags and each length, the possible characters at each position."""
        lengths = range(self.secret.least, self.secret.length + 1)
        for env, scope, length in product(self.choices("env"), self.choices("scope"), lengths):
            layout: Layout = []
            for kind, value in self.parts:
                if kind == "text" or value in _TAGGED:
                    layout += value if kind == "text" else env if value == "env" else scope
                else:
                    random = self.random_field(value)
                    layout += [random.characters] * (length if value == "secret" else random.length)
            yield layout

    # ── the template ─────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def parts(self) -> list[tuple[str, str]]:
        """The template as ("text", literal) and ("field", name), with the brand filled in and literals joined."""
        template = self.template.replace("{brand}", self.brand)
        parts: list[tuple[str, str]] = []
        for i, piece in enumerate(_PLACEHOLDER.split(template)):
            if i % 2:
                if piece not in (*_TAGGED, *_RANDOM):
                    raise FormatError(f"has an unknown field {{{piece}}}")
                if piece in _TAGGED and not (self.envs if piece == "env" else self.scopes):
                    raise FormatError(f"has {{{piece}}}, and no environment or scope has a tag for it")
                parts.append(("field", piece))
            elif piece:
                if not _FIXED.fullmatch(piece):
                    raise FormatError("may hold only letters, digits and _ - . : ~ besides its fields")
                parts.append(("text", piece))
        return parts

    def has(self, name: str) -> bool:
        return ("field", name) in self.parts

    def choices(self, name: str) -> tuple[str, ...]:
        """Return the tags of `env` or `scope` that may stand in a key."""
        if not self.has(name):
            return ("",)
        return self.envs if name == "env" else self.scopes

    def random_field(self, name: str) -> Field:
        """Return the field `prefix`, `secret` or `checksum`. Raises FormatError if the format has none."""
        fields = {"prefix": self.prefix, "secret": self.secret, "checksum": self.checksum}
        found = fields[name]
        if found is None:
            raise FormatError("and fields.checksum go together: give both or neither")
        return found

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.expression(), re.ASCII)

    def expression(self, *, prefix_only: bool = False) -> str:
        """Return a regular expression with the groups `env`, `scope`, `prefix`, `secret` and `checksum`."""
        expression = ""
        for kind, value in self.parts:
            if kind == "text":
                expression += re.escape(value)
            elif value in _TAGGED:
                expression += f"(?P<{value}>{'|'.join(map(re.escape, self.choices(value)))})"
            else:
                random = self.random_field(value)
                expression += f"(?P<{value}>{random.expression})"
            if prefix_only and (kind, value) == ("field", "prefix"):
                break
        return expression

    def after_prefix(self) -> str:
        """Return the fixed text between prefix and secret."""
        following = self.parts[self.parts.index(("field", "prefix")) + 1]
        return following[1] if following[0] == "text" else ""

    def _pieces(self, env: str | None, scope: str | None) -> tuple[str, str, str]:
        """Return the fixed text before the prefix, between prefix and secret, and between secret and checksum."""
        pieces = ["", "", ""]
        position = 0
        for kind, value in self.parts:
            if kind == "text":
                pieces[position] += value
            elif value in _TAGGED:
                tag = env if value == "env" else scope
                if tag not in self.choices(value):
                    raise ValueError(f"the format has no {value} tag {tag!r}")
                pieces[position] += tag or ""
            elif value != "checksum":
                position += 1
        return pieces[0], pieces[1], pieces[2]


def known_formats(current: Iterable[KeyFormat], earlier: str | None) -> tuple[KeyFormat, ...]:
    """Return the profile's formats and those used before; `earlier` is the store's setting, JSON."""
    return (*current, *(KeyFormat.from_dict(data) for data in json.loads(earlier or "[]")))


def possible_prefixes(formats: Iterable[KeyFormat], text: str) -> list[str]:
    """Return the prefix that each of `formats` reads in a key's text, once each. Raises MalformedKey if none does.

    The formats of one store may overlap: it used them one after the other. The look-up decides which it is.
    """
    prefixes: dict[str, None] = {}
    reasons = set()
    for key_format in formats:
        try:
            prefixes[key_format.parse(text).prefix] = None
        except MalformedKey as error:
            reasons.add(error.reason)
    if not prefixes:
        raise MalformedKey("checksum" if "checksum" in reasons else "malformed")
    return list(prefixes)


def _checksum(body: str, checksum: Field) -> str:
    """Return zlib's CRC-32 of `body` in the field's alphabet, most significant digit first, padded with its zero."""
    characters, value = checksum.characters, crc32(body.encode())
    base = len(characters)
    return "".join([characters[value // power % base] for power in _powers(base, checksum.length)])


@lru_cache
def _powers(base: int, length: int) -> tuple[int, ...]:
    return tuple(base**i for i in reversed(range(length)))


def character_class(characters: str) -> str:
    """Return a regular expression for one of `characters`, in ranges, which are short: every command compiles it."""
    ranges: list[list[str]] = []
    for character in sorted(characters):
        if ranges and ord(character) == ord(ranges[-1][1]) + 1:
            ranges[-1][1] = character
        else:
            ranges.append([character, character])
    return "[" + "".join(re.escape(a) if a == b else f"{re.escape(a)}-{re.escape(b)}" for a, b in ranges) + "]"
