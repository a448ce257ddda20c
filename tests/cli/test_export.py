"""`keyctl export`: the inverse of an import."""

from __future__ import annotations

import json
import stat

from tests.cli.helpers import dump, mint, refused
from tests.runner import Cli


def test_an_export_goes_to_standard_output_with_hashes_and_no_secret(store: Cli):
    key = mint(store, "--owner", "acme", "--create-owner", "--scope", "read")

    result = store("export", check=0)
    owner, line = map(json.loads, result.out.splitlines())

    assert owner["owner"]["handle"] == "acme"
    assert (line["prefix"], line["owner"], line["scopes"]) == (key["prefix"], "acme", ["read"])
    assert line["hash"] in str(dump(store))
    assert key["key"][21:] not in result.out
    assert store("export", "--out", "-", check=0).out == result.out


def test_an_export_to_a_file_is_private_and_replaces_nothing(store: Cli):
    mint(store)
    file = store.cwd / "keys.csv"

    result = store("export", "--out", file, "--json", check=0)

    assert result.json == {"file": str(file), "keys": 1}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith("prefix,hash,hash_format,name,owner,")
    refused(store, "export", "--out", file, code=4, says="already exists")
    store("export", "--out", file, "--force", "--output-format", "jsonl", check=0)
    assert file.read_text().startswith('{"prefix":')
    assert [path.name for path in store.cwd.iterdir()] == ["keys.csv"]


def test_an_export_that_cannot_be_written_is_refused(store: Cli):
    refused(store, "export", "--out", "missing/keys.jsonl", code=2, says="cannot write")
    refused(store, "export", "--out", store.cwd, code=4, says="never replaced")
    refused(store, "export", "--output-format", "xml", code=2, says="--output-format is unknown")
    refused(store, "export", "--owner", "nobody", code=3, says='no owner "nobody"')


def test_on_a_terminal_there_is_a_warning(store: Cli):
    mint(store)

    shown = store.tty("export", check=0)

    assert "the hashes of keys are sensitive" in shown.out
