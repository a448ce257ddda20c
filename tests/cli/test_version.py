"""`keyctl version`."""

from __future__ import annotations

import platform
import sqlite3

from keyctl import __version__
from tests.runner import Cli


def test_version_prints_what_the_option_prints(cli: Cli):
    result = cli("version", check=0)

    assert (result.out, result.err) == (f"keyctl {__version__}\n", "")
    assert cli("--version", check=0).out == result.out


def test_version_in_json_is_what_a_bug_report_needs(cli: Cli):
    assert cli("version", "--json", check=0).json == {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
    }
