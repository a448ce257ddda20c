from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import keyctl
from keyctl.actions import ACTIONS, checked_action, groups
from keyctl.errors import UsageError

WRITERS = ("admin/*.py", "store/*.py", "audit.py", "history.py")


def test_the_table_has_every_action_that_is_written():
    of_a_group = re.compile(rf"({'|'.join(groups())})\.[a-z_]+")
    root = Path(keyctl.__file__).parent
    texts = {
        node.value
        for pattern in WRITERS
        for file in root.glob(pattern)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert {text for text in texts if of_a_group.fullmatch(text)} == ACTIONS.keys()


@pytest.mark.parametrize(
    ("typed", "meant"), [("key.revoke", "key.revoked"), ("key.mint", "key.minted"), ("keys", "key"), ("onwer", "owner")]
)
def test_an_unknown_action_is_refused_with_the_one_that_is_meant(typed: str, meant: str):
    with pytest.raises(UsageError) as error:
        checked_action(typed)

    assert error.value.message == f'unknown action "{typed}"'
    assert error.value.hint is not None
    assert error.value.hint.startswith(f'did you mean "{meant}"?')
