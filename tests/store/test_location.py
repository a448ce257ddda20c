from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from keyctl.errors import UsageError
from keyctl.store.location import StoreLocation
from keyctl.text import visible
from tests.fuzzing import examples, mutated


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
        "postgresql://jane:hunter2=@db.example/keys",
        "postgresql://jane:hunter2==@db.example/keys?sslmode=require",
        "postgresql://jane:p@hunter2@db.example/keys",
        "postgresql://jane@db.example/keys?password=hunter2&sslmode=require",
        "postgresql+psycopg://:hunter2@db.example:5432/keys",
        "postgresql://jane@db.example/keys?sslpassword=hunter2",
        "postgresql://jane@db.example/keys?pass%77ord=hunter2",
        "postgresql://jane@db.example/keys?%70assword=hunter2&a=b",
        "postgresql://jane@db.example/keys?PASSWORD=hunter2",
        "postgresql://jane@db.example/keys?passwrd=hunter2",
        "postgresql://jane@db.example/keys?oauth_client_secret=hunter2",
        "postgresql://jane@db.example/keys?sslmode=require&password=hunter2&password=hunter2",
        "postgresql://jane@db.example/keys?application_name=x%26password=hunter2",
        "postgresql://jane@db.example/keys?application_name=x password=hunter2",
        "postgresql://o?ps:hunter2@db.example/keys",
        "postgresql://jane:p/hunter2@db.example/keys",
        "postgresql://jane:hunter2/x@db.example/keys",
        "postgresql://jane:p?hunter2@db.example/keys",
        "postgresql://jane:p#hunter2@db.example/keys",
        "postgresql:///jane:hunter2@db.example/keys",
        "postgresql://jane%3Ahunter2@db.example/keys",
        "postgresql://jane:hunter2%40db.example/keys",
        "postgresql://db.example/keys?user=jane:hunter2@db.example",
        "postgresql://jane:hunter2@db.example:5432,db2.example/keys",
    ],
)
def test_a_password_is_never_shown(url: str):
    location = StoreLocation(url)

    for shown in (str(location), repr(location), f"{location}", f"{[location]}"):
        assert "hunter2" not in shown
        assert "db.example" in shown
    assert location.has_password
    assert location.file is None
    for part in (url, "hunter2", 'port "hunter2"', "x (hunter2)"):
        assert "hunter2" not in location.without_password(part)


TEXT = st.text("ab:@/?&=%,[]#;+ 0123456789", max_size=12)


@examples(100, 10_000)
@given(user=TEXT, password=st.from_regex(r"S3[a-z@/:?&=%]{0,4}cret={0,2}", fullmatch=True), host=TEXT, query=TEXT)
def test_what_libpq_takes_for_a_password_is_never_shown(user: str, password: str, host: str, query: str):
    for url in (
        f"postgresql://{user}:{password}@{host}/d?{query}",
        f"postgresql://{user}:{quote(password, safe='')}@{host}/d?{query}",
        f"postgresql://{user}@{host}/d?{query}&password={password}",
        f"postgresql://{host}?{query}&sslpassword={quote(password, safe='')}&x={user}",
    ):
        location = StoreLocation.parse(url)
        try:
            read = conninfo_to_dict(url)
        except (ProgrammingError, UnicodeDecodeError) as error:
            read, quoted = {}, str(error)
        else:
            quoted = ""
        assert password not in location.without_password(quoted)
        for name in ("password", "sslpassword"):
            secret = str(read.get(name) or password)
            assert len(secret) < 4 or (secret not in str(location) and quote(secret, safe="") not in str(location))


LOCATIONS = ["keys.db", "sqlite:////srv/keys.db", "~/keys.db", "postgresql://jane:s3cret@db.example:5432/keys?host=x"]
LOCATIONS += ["postgresql:///?service=keys&sslmode=require", "postgres://%6aane@[::1],db2/k?options=-csearch_path%3Dx"]


@examples(200, 10_000)
@given(mutated(st.sampled_from(LOCATIONS)) | st.text(max_size=40))
def test_a_text_is_a_location_that_is_written_as_it_is_read_or_is_refused(text: str):
    try:
        location = StoreLocation.parse(text)
    except UsageError as error:
        assert visible(error.message) == error.message  # noqa: PT017 - whether it is raised depends on the example
        return

    assert StoreLocation.parse(location.url) == location
    assert location.file is None or StoreLocation.of_file(location.file) == location
    assert ":s3cret@" not in text or "s3cret" not in f"{location} {location!r}"
    assert isinstance(location.may_be_overheard, bool)


@pytest.mark.parametrize("part", [":", "pass", "a", "%3a", "a=&", "a:b@", "/", "@"])
def test_a_text_longer_than_any_path_is_refused_at_once(part: str):
    for text in (part * 50_000, f"postgresql://{part * 50_000}", f"sqlite:///{part * 50_000}"):
        begin = time.process_time()
        with pytest.raises(UsageError, match=r"has [0-9,]+ characters: at most 4,096"):
            StoreLocation.parse(text)
        assert time.process_time() - begin < 1


def test_the_url_of_a_file_in_a_folder_with_an_at_sign_is_not_taken_for_a_password(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/jane@example.com/keys.db"

    assert StoreLocation.parse(url).url == url


@pytest.mark.parametrize("text", ["a\0.db", "sqlite:///a\0.db", "sqlite:////\0"])
def test_a_path_with_a_nul_is_refused(text: str):
    with pytest.raises(UsageError, match="holds a NUL character"):
        StoreLocation.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("host=db.example password=hunter2", "host=db.example PASSWORD = 'hunter2'", "password=hunter2.db"),
        *(
            "postgresql:/jane:hunter2@db.example/keys",
            "postgresql:jane:hunter2@db.example",
            "jane:hunter2@db.example/x",
        ),
        *(
            "sqlite://jane:hunter2@db.example/keys",
            "sqlite:///jane:hunter2@db.example/keys",
            "./jane:hunter2@db.example",
        ),
        *("jane%3Ahunter2%40db.example/keys", "/x?pass%77ord=hunter2", "x pwd=hunter2 ://", "hunter2@x ://y"),
    ],
)
def test_a_text_with_a_password_that_is_no_url_is_refused_and_not_shown(text: str):
    with pytest.raises(UsageError) as error:
        StoreLocation.parse(text)

    assert "hunter2" not in f"{error.value.message} {error.value.hint}"


def test_a_file_that_exists_is_a_store_whatever_its_name(tmp_path: Path):
    for name in ("a:b@c.db", "password=x.db"):
        (tmp_path / name).touch()

        assert StoreLocation.parse(name).file == tmp_path / name
        assert StoreLocation.parse(f"sqlite:///{name}").file == tmp_path / name


@pytest.mark.parametrize(
    "url",
    [
        *(
            "postgresql://jane@db.example/keys",
            "postgresql://jane@db.example:5432,db2.example:5432/keys?sslmode=require",
        ),
        *("postgresql:///keys?host=/run/postgresql&port=5433", "postgresql:///?service=keys"),
        *("postgresql://[::1]:5432/keys?options=-csearch_path%3Dx", "postgresql://jane@db.example"),
    ],
)
def test_a_url_without_a_password_is_shown_as_it_is(url: str):
    location = StoreLocation.parse(url)

    assert str(location) == url
    assert not location.has_password


@pytest.mark.parametrize(
    ("url", "remote"),
    [
        ("postgresql://localhost,127.0.0.1:5433,[::1]:5434/keys", False),
        ("postgresql://127.0.0.2/keys", False),
        ("postgresql:///keys?host=localhost,127.0.0.1,/run/postgresql&port=1,2,3", False),
        ("postgresql:///keys?host=::1", False),
        ("postgresql://%2Frun%2Fpostgresql/keys", False),
        ("postgresql://@/keys", False),
        ("postgresql://localhost,db.example/keys", True),
        ("postgresql:///keys?host=localhost,db.example", True),
        ("postgresql://db.example/keys?host=localhost", False),
        ("postgresql://localhost.example/keys", True),
        ("postgresql://127.0.0.1.example/keys", True),
        ("postgresql://[2001:db8::1]/keys", True),
        ("postgresql://db.example/keys?sslmod%65=verify-full", False),
        ("postgresql://db.example/keys?application_name=sslmode=verify-full", True),
        ("postgresql://db.example/keys?application_name=service=x", True),
    ],
)
def test_a_server_is_remote_unless_all_its_addresses_are_this_machine(url: str, remote: bool):
    assert StoreLocation.parse(url).may_be_overheard == remote
