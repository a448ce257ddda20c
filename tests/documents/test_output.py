"""What the page about output says of formats and columns is what the code has."""

from __future__ import annotations

import re

from keyctl.cli.commands import HELP_LINES, below
from keyctl.cli.key_columns import key_columns
from keyctl.cli.records import Format
from tests.cli.test_synonyms import options_of
from tests.documents.pages import plain, table, topic
from tests.samples import NOW


def test_the_table_of_formats_is_complete():
    assert [plain(cells[0]) for cells in table("Forms of a list")] == list(Format)


def test_the_table_of_columns_is_that_of_the_code():
    documented = {plain(name): plain(printed) for name, _, printed in table("Columns of keys")}

    assert documented == {
        column.name: "by name" if column.optional else "with --wide" if column.wide else "always"
        for column in key_columns(NOW)
    }


def test_every_list_that_has_forms_is_named():
    [named] = re.findall(r"These options are the same for (.*?)\.\n", topic("output").read_text(), flags=re.DOTALL)

    commands = {"usage show" if name == "usage" else name for name in re.findall(r"`keyctl ([^`]+)`", named)}
    assert commands == {
        name for name in HELP_LINES if not below(name) and {"--format", "--columns"} <= options_of(name)
    }
