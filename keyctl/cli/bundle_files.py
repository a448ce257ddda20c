"""Opens the files that bundle commands use: the bundle to verify against, and the signing key."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from keyctl.cli.configuration import default_folder
from keyctl.errors import UsageError
from keyctl.times import parse_duration

if TYPE_CHECKING:
    from keyctl.bundles.reload import FollowedBundle
    from keyctl.bundles.signing import SigningKey


def open_bundle(path: Path, trust: list[str], *, max_age: str | None, keep_state: bool) -> FollowedBundle:
    """Open a bundle, checking its signature, age and period of validity. Raises BundleUntrusted and UsageError."""
    from keyctl.bundles.reload import FollowedBundle
    from keyctl.bundles.rollback import BundleState
    from keyctl.bundles.signing import parse_trust

    oldest = parse_duration(max_age) if max_age is not None else None
    if oldest == timedelta(0):
        raise UsageError("--max-age must be greater than zero", hint="for example: --max-age 1h")
    state = BundleState(state_file()) if keep_state else None
    return FollowedBundle(path, trust=[parse_trust(one) for one in trust], max_age=oldest, state=state)


def state_file() -> Path:
    from platformdirs import user_state_path

    return user_state_path("keyctl") / "bundles.json"


def load_signing_key(key: Path | None) -> SigningKey:
    from keyctl.bundles.signing import SigningKey

    return SigningKey.load(key or default_signing_key())


def default_signing_key() -> Path:
    return default_folder("config") / "bundle.key"
