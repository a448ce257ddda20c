"""Administer API keys: mint, list, rotate, revoke, lock and verify them, over SQLite or Postgres.

Importing this package imports nothing else: the names of `__all__` are imported when they are first used.
"""

TYPE_CHECKING = False  # type checkers take it for that of `typing`, which is not imported here
if TYPE_CHECKING:
    from keyctl.codes import Code
    from keyctl.decision import Decision
    from keyctl.limiter import Limiter
    from keyctl.recorder import Recorder
    from keyctl.verifier import Verifier

__version__ = "0.1.0"

__all__ = ["Code", "Decision", "Limiter", "Recorder", "Verifier"]

_MODULES = {
    "Code": "keyctl.codes",
    "Decision": "keyctl.decision",
    "Limiter": "keyctl.limiter",
    "Recorder": "keyctl.recorder",
    "Verifier": "keyctl.verifier",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - so that importing the package imports nothing

    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
