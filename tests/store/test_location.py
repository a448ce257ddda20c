from __future__ import annotations

from pathlib import Path

import pytest

from keyctl.errors import UsageError
from keyctl.store.location import StoreLocation


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/jane")


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("keys.db", "{here}/keys.db"),
        ("./keys.db", "{here}/keys.db"),
        ("/var/lib/keyctl/keys.db", "/var/lib/keyctl/keys.db"),
        ("~/keys.db", "/home/jane/keys.db"),
        ("sqlite:///keys.db", "{here}/keys.db"),
        ("sqlite:////var/lib/keyctl/keys.db", "/var/lib/keyctl/keys.db"),
        ("with space & ?mode=memory#x%20y.db", "{here}/with space & ?mode=memory#x%20y.db"),
    ],
)
def test_a_path_and_its_url_name_the_same_file(text: str, file: str, tmp_path: Path):
    location = StoreLocation.parse(text)

    assert str(location.file) == file.format(here=tmp_path)
    assert str(location) == file.format(here=tmp_path)
    assert StoreLocation.parse(location.url) == location


@pytest.mark.parametrize(
    "text", ["mysql://root:hunter2@db/keys", "://x", "SQLITE:///x", "http://hunter2@x", "sqlite3:///x"]
)
def test_an_unknown_scheme_is_refused_and_only_the_scheme_is_reported(text: str):
    with pytest.raises(UsageError) as error:
        StoreLocation.parse(text)

    assert "unsupported store URL scheme" in error.value.message
    assert "hunter2" not in error.value.message + error.value.hint


@pytest.mark.parametrize("text", ["sqlite://", "sqlite://keys.db", "sqlite://host"])
def test_a_sqlite_url_without_a_path_is_refused(text: str):
    with pytest.raises(UsageError) as error:
        StoreLocation.parse(text)

    assert "names no file" in error.value.message
    assert "three slashes" in error.value.hint


def test_the_home_of_an_unknown_user_is_refused():
    with pytest.raises(UsageError) as error:
        StoreLocation.parse("~no-such-user/keys.db")

    assert "there is no home folder" in error.value.message


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://jane:hunter2@db.example/keys",
        "postgresql://jane:hunter2:x@db.example/keys",
        "postgresql://jane:p@hunter2@db.example/keys",
        "postgresql://jane@db.example/keys?password=hunter2&sslmode=require",
        "postgresql+psycopg://:hunter2@db.example:5432/keys",
    ],
)
def test_a_password_is_never_shown(url: str):
    location = StoreLocation(url)

    for shown in (str(location), repr(location), f"{location}", f"{[location]}"):
        assert "hunter2" not in shown
        assert "db.example" in shown
    assert location.file is None
