"""Rules for other scanners, made from the formats of a profile. Each is a module here, and a line in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from keyctl.scanning.rules import betterleaks, github, gitleaks, kingfisher, regex, trufflehog
from keyctl.scanning.rules.subjects import Subject

# Each writes all rules as one text, without a line break at its end.
WRITERS: Mapping[str, Callable[[Sequence[Subject]], str]] = {
    "betterleaks": betterleaks.write,
    "github": github.write,
    "gitleaks": gitleaks.write,
    "kingfisher": kingfisher.write,
    "regex": regex.write,
    "trufflehog": trufflehog.write,
}
