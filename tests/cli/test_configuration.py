"""The reader of the configuration file, on any content. What commands say of a broken one is in test_config.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyctl.cli.configuration import SETTINGS, Config, locate_store, read_config
from keyctl.errors import ConfigurationInvalid, KeyctlError
from tests.fuzzing import examples, mutated

WHOLE = b"""# comment
store = "team"
wait = "30s"

[stores]
team = "postgresql://jane:s3cret@db.example/keys"
"a b" = '/srv/keys.db'
"""


@examples(200, 10_000)
@example(b'store = "./a\\u0000.db"')
@example(b"a" + b".a" * 60_000 + b" = 1")
@given(mutated(st.just(WHOLE)))
def test_a_configuration_is_refused_or_means_what_it_says(raw: bytes):
    password = "s3cret" if b":s3cret@" in raw else "no edit removed the colon"
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(raw)
        try:
            config = read_config(file.name)
        except ConfigurationInvalid as error:
            assert password not in error.message  # noqa: PT017 - most edits are refused, not all
            return
        written = "".join(
            f"{name} = {_quoted(getattr(config, name))}\n" for name in SETTINGS if getattr(config, name) is not None
        )
        Path(file.name).write_text(written)
        assert read_config(file.name) == config

    for name in [None, *config.stores]:
        try:
            location, _ = locate_store(name, config)
        except KeyctlError as error:
            assert password not in f"{error.message} {error.hint}"  # noqa: PT017 - depends on the example
        else:
            assert password not in str(location)


def _quoted(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)} = {_quoted(one)}" for key, one in value.items()) + "}"
    return '"' + "".join(f"\\U{ord(character):08x}" for character in str(value)) + '"'


def test_a_configuration_of_more_than_a_mebibyte_is_not_read(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_bytes(b"#" * 1024 * 1024)
    assert read_config(str(path)) == Config(path)

    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigurationInvalid, match="larger than 1 MiB"):
        read_config(str(path))


def test_the_home_of_an_unknown_user_has_no_configuration():
    with pytest.raises(ConfigurationInvalid, match='there is no home folder for "~no-such-user/x"'):
        read_config("~no-such-user/x")
