"""Custom detectors for TruffleHog, as a configuration file. It cannot check a checksum.

https://github.com/trufflesecurity/trufflehog/blob/main/pkg/custom_detectors/CUSTOM_DETECTORS.md
"""

from __future__ import annotations

from collections.abc import Sequence

from keyctl.scanning.rules.subjects import Subject


def write(subjects: Sequence[Subject]) -> str:
    lines = ["detectors:"]
    for one in subjects:
        quoted = one.ended.replace("'", "''")
        lines += [
            f"  - name: {one.id}",
            "    keywords:",
            f"      - '{one.keyword}'",
            "    regex:",
            f"      key: '{quoted}'",
        ]
    return "\n".join(lines)
