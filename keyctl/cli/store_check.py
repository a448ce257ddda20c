"""Verifies the store and its log, for the commands that do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.cli.bundle_files import default_signing_key, load_signing_key
from keyctl.cli.secret_input import read_bytes
from keyctl.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from keyctl.bundles.signing import SigningKey
    from keyctl.cli.context import CommandContext
    from keyctl.history import Checkpoint
    from keyctl.store.integrity import Verdict

_LONGEST = 16 * 1024 * 1024  # a checkpoint every hour for six years


def check_store(
    context: CommandContext,
    file: Path | None,
    trust: list[str] | None,
    *,
    resume: bool,
    signing_key: SigningKey | None = None,
) -> Verdict:
    """Verify the store, and that its log contains the checkpoints in `file`.

    These are trusted if they are signed by `signing_key`, or with None by the user's own, or as `trust` says. Raises
    CheckFailed for a checkpoint that cannot be trusted.
    """
    from keyctl.store.integrity import check

    if file is None and (trust or resume):
        raise UsageError("--trust and --resume require --checkpoint", hint="add --checkpoint FILE")
    checkpoints = _read(file, trust or [], signing_key) if file is not None else []
    return check(context.database, checkpoints, resume=resume)


def failure(verdict: Verdict) -> CheckFailed:
    """Return an error that names the faults, a line for each."""
    more = verdict.fault_count - len(verdict.faults)
    lines = [*verdict.faults, f"and {more:,} more faults"] if more else verdict.faults
    return CheckFailed("\n".join(lines), hint="the database was changed outside keyctl; see: keyctl audit list")


def _read(file: Path, trust: list[str], signing_key: SigningKey | None) -> list[Checkpoint]:
    from keyctl.bundles.checkpoints import read_checkpoints
    from keyctl.bundles.signing import Trust, parse_trust

    trusted = [parse_trust(one) for one in trust]
    if signing_key is None and not trust:
        if not default_signing_key().exists():
            raise UsageError(
                "--checkpoint requires --trust: there is no signing key here",
                hint="add --trust PUBLIC-KEY; the signer prints it with: keyctl bundle key",
            )
        signing_key = load_signing_key(None)
    if signing_key is not None:
        trusted.append(Trust(signing_key.public_bytes))
    text = read_bytes(file, longest=_LONGEST).decode("utf-8", "replace")
    return read_checkpoints(text, "standard input" if str(file) == "-" else str(file), trusted)
