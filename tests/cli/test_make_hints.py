"""Errors in the words of `make`. tests/test_makefile.py has those that its targets meet."""

import pytest

from keyctl.cli.make_hints import hint_for_make


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("add --owner HANDLE", "add OWNER=HANDLE"),
        ("add --as API_KEY", "add AS=API_KEY"),
        ("add --name TEXT", "add NAME=TEXT"),
        ("add --replace to rotate it", "add REPLACE=yes to rotate it"),
        ("add --scope: bot, tx", "add SCOPES: bot, tx"),
        ("--expires 90d", "EXPIRES=90d"),
        ("--create-owner requires --owner", "OWNER requires OWNER"),
        ("choose a store: --store FILE.db", "choose a store: STORE=FILE.db"),
        ("omit --scope", "omit SCOPES"),
        ("omit the option, or give a value", "omit the variable, or give a value"),
        ("--owner-kind and --environment", "OWNER_KIND and --environment"),
        (
            "set KEYCTL_ADMIN_TOKEN, or give --admin-token-file FILE",
            "set KEYCTL_ADMIN_TOKEN, or give ADMIN_TOKEN=TOKEN",
        ),
        # a whole command is not one of make's
        ("see: keyctl profile show --store ./x.db", "see: .venv/bin/keyctl profile show --store ./x.db"),
        ("first: keyctl owner add x --parent HANDLE", "first: .venv/bin/keyctl owner add x --parent HANDLE"),
        ("a newer keyctl wrote it: upgrade keyctl", "a newer keyctl wrote it: upgrade keyctl"),
    ],
)
def test_options_become_variables_and_commands_name_the_program(text: str, expected: str):
    assert hint_for_make(text, ".venv/bin/keyctl") == expected
