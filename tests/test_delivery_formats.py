"""What is delivered is read back by those who will read it: shells, python-dotenv, PyYAML, and a runner of GitHub's."""

from __future__ import annotations

import io
import json
import re
import subprocess
from functools import partial

import dotenv
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from keyctl.delivery_formats.format import Content
from keyctl.delivery_formats.github_env import mask
from keyctl.delivery_formats.table import FORMATS, format_named
from keyctl.errors import Refused, UsageError
from tests import samples

KEYS = {
    name: made.generate(1, env=(made.envs or ("",))[0], scope=(made.scopes or ("",))[0])[0].text
    for name, made in samples.FORMATS.items()
}
KEY = KEYS["standard"]
HOSTILE = "ab_$(id)`id`'\"\\%0A;#!&|<>*?~{}[]^=,@"  # an alphabet may hold any of these
KEYS["hostile"] = HOSTILE
NAMES = {"env": "API_KEY", "dotenv": "API_KEY", "github-env": "API_KEY", "k8s-secret": "prod/pay:KEY"}


def merged(before: str, text: str = KEY, name: str = "API_KEY") -> str:
    merge = FORMATS["dotenv"].merge
    assert merge
    return merge(before.encode(), Content(text, name)).decode()


def by_dotenv(content: str) -> dict[str, str | None]:
    return dict(dotenv.dotenv_values(stream=io.StringIO(content), interpolate=False))


def by_github(content: str) -> dict[str, str]:
    """Read an environment file as GitHub's runner does: `NAME=value`, or `NAME<<DELIMITER` and lines."""
    found, lines = {}, iter(content.splitlines())
    for line in lines:
        equals, here = line.find("="), line.find("<<")
        if equals >= 0 and (here < 0 or equals < here):
            found[line[:equals]] = line[equals + 1 :]
        elif here >= 0:
            found[line[:here]] = "\n".join(iter(partial(next, lines), line[here + 2 :]))
        elif line:
            raise ValueError("invalid format")
    return found


@pytest.mark.parametrize("shape", KEYS)
@pytest.mark.parametrize("name", FORMATS)
def test_a_format_reads_back_what_it_wrote(name: str, shape: str):
    text = KEYS[shape]
    layout, given_name = FORMATS[name], NAMES.get(name)
    if name == "dotenv" and "\\" in text:  # which readers interpret differently
        with pytest.raises(Refused):
            layout.render(Content(text, given_name))
        return

    content = layout.render(Content(text, given_name, {"id": "key_1"}))

    assert layout.read(content, given_name) == text
    if given_name:
        assert layout.read(content, "OTHER") is None


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"a\nb\n", b"=\n=\n", b"\x1b[2J\n"])
def test_what_holds_no_key_is_read_as_none(name: str, content: bytes):
    assert FORMATS[name].read(content, NAMES.get(name)) is None


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"[]", b'{"key":1}', b'{"keys":[]}', b"\xff"])
def test_other_json_holds_no_key(content: bytes):
    assert FORMATS["json"].read(content, None) is None


def test_what_is_to_be_written_does_not_show_its_text():
    assert KEY not in repr(Content(KEY, "API_KEY"))


# ── shells ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("shape", ["standard", "hostile"])
def test_a_shell_and_its_children_read_env(shell: str, shape: str, tmp_path):
    text = KEYS[shape]
    (tmp_path / "key.env").write_bytes(FORMATS["env"].render(Content(text, "API_KEY")))

    script = '. ./key.env; printf %s "$API_KEY"; exec printenv API_KEY'
    out = subprocess.run([shell, "-euc", script], cwd=tmp_path, capture_output=True, check=True, text=True).stdout

    assert out == f"{text}{text}\n"


@pytest.mark.parametrize("shape", KEYS)
def test_a_shell_reads_dotenv_too(shape: str, tmp_path):
    text = KEYS[shape].replace("\\", "").replace("'", "")  # with these, none is written
    (tmp_path / ".env").write_text(merged("", text))

    out = subprocess.run(
        ["sh", "-euc", '. ./.env; printf %s "$API_KEY"'], cwd=tmp_path, capture_output=True, check=True, text=True
    ).stdout

    assert out == text


# ── dotenv ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "API_KEY=K\n"),
        ("A=1\n", "A=1\nAPI_KEY=K\n"),
        ("A=1", "A=1\nAPI_KEY=K\n"),
        ("A=1\r\n", "A=1\r\nAPI_KEY=K\r\n"),
        ("API_KEY=old\nB=2\n", "API_KEY=K\nB=2\n"),
        ("API_KEY=old", "API_KEY=K"),
        ("API_KEY=", "API_KEY=K"),
        ("API_KEY=\r\nB=2\r\n", "API_KEY=K\r\nB=2\r\n"),
        ("  export \tAPI_KEY = old \n", "  export \tAPI_KEY = K \n"),
        ("export API_KEY='old' # of ci\n", "export API_KEY='K' # of ci\n"),
        ('API_KEY="o\\"ld"#c\n', 'API_KEY="K"#c\n'),
        ("API_KEY=old # c # d\n", "API_KEY=K # c # d\n"),
        ("API_KEY= # nothing yet\n", "API_KEY=K # nothing yet\n"),
        ("API_KEY=a#b\n", "API_KEY=K\n"),
        ("'API_KEY'=old\n", "'API_KEY'=K\n"),
        ('API_KEY="old\nlines"\nB=2\n', 'API_KEY="K"\nB=2\n'),
        ("API_KEY=`old`\n", "API_KEY=K\n"),
        ("API_KEY=\"a\"b'c'\n", 'API_KEY="K"\n'),
        ("API_KEY='never closed\nB=2\n", "API_KEY='K'\nB=2\n"),
        ('API_KEY=a\nB=${API_KEY}\nexport API_KEY="b"\n', 'API_KEY=K\nB=${API_KEY}\nexport API_KEY="K"\n'),
        ("# API_KEY=old\nMY_API_KEY=x\nAPI_KEYS=x\n", "# API_KEY=old\nMY_API_KEY=x\nAPI_KEYS=x\nAPI_KEY=K\n"),
        ('A="\nAPI_KEY=inside\n"\n', 'A="\nAPI_KEY=inside\n"\nAPI_KEY=K\n'),
        ("A='\nAPI_KEY=inside\n' # c\nAPI_KEY=old\n", "A='\nAPI_KEY=inside\n' # c\nAPI_KEY=K\n"),
        ("API_KEY\n", "API_KEY\nAPI_KEY=K\n"),
        ("\ufeffAPI_KEY=old\n", "\ufeffAPI_KEY=K\n"),
        ("no assignment at all\n\n", "no assignment at all\n\nAPI_KEY=K\n"),
        ("é=ü\nAPI_KEY=old", "é=ü\nAPI_KEY=K"),
    ],
)
def test_a_key_takes_the_place_of_a_line_and_every_other_byte_is_kept(before: str, after: str):
    result = merged(before, "K")

    assert result == after
    assert merged(result, "K") == result
    assert FORMATS["dotenv"].read(result.encode(), "API_KEY") == "K"
    assert by_dotenv(result.removeprefix("\ufeff"))["API_KEY"] == "K"


def test_bytes_that_are_no_utf8_are_kept():
    merge = FORMATS["dotenv"].merge

    assert merge(b"A=\xff\xfe\nAPI_KEY=old\n", Content("K", "API_KEY")) == b"A=\xff\xfe\nAPI_KEY=K\n"
    with pytest.raises(Refused, match="NUL"):
        merge("API_KEY=old\n".encode("utf-16"), Content("K", "API_KEY"))


VALUES = st.one_of(
    st.text("ab$#_/=", max_size=5),
    st.text("ab \n#=A'", max_size=8).map(lambda text: f'"{text}"'),
    st.text('ab \n#=A"', max_size=8).map(lambda text: f"'{text}'"),
)
ENTRIES = st.tuples(
    st.sampled_from(["", "export ", " "]),
    st.sampled_from(["A", "B", "API_KEY", "API"]),
    st.sampled_from(["=", " = "]),
    VALUES,
    st.sampled_from(["", " # API_KEY=c", " "]),
    st.sampled_from(["\n", "\r\n", "\n\n", "\n# API_KEY=x\n"]),
).map("".join)


@settings(max_examples=120)
@given(st.lists(ENTRIES, max_size=6).map("".join))
def test_python_dotenv_finds_the_key_and_whatever_else_was_there(before: str):
    result = merged(before)

    assert by_dotenv(result) == {**by_dotenv(before), "API_KEY": KEY}


def test_a_large_file_of_unclosed_quotes_takes_no_time():
    before = "A='x\nB=\"y\nC=`z\n" * 20_000 + "D=" + " " * 100_000

    assert merged(before).startswith(before)


# ── GitHub Actions ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", KEYS)
@pytest.mark.parametrize("before", ["", "A=1\n", "A=1", "B<<EOF\nAPI_KEY=inside\nEOF\n"])
def test_a_runner_reads_the_line_after_what_other_steps_wrote(shape: str, before: str):
    text = KEYS[shape]
    result = FORMATS["github-env"].merge(before.encode(), Content(text, "API_KEY")).decode()

    assert result.startswith(before)
    assert by_github(result) == {**by_github(before), "API_KEY": text}


def test_a_mask_is_escaped_as_the_runner_expects():
    assert mask(KEY) == f"::add-mask::{KEY}"
    assert mask("a%0Ab") == "::add-mask::a%250Ab"


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "github_x", "RUNNER_OS", "NODE_OPTIONS"])
def test_names_that_github_does_not_let_a_job_set_are_refused(name: str):
    with pytest.raises(UsageError, match=name):
        FORMATS["github-env"].check_name(name)


# ── Kubernetes ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", KEYS)
@pytest.mark.parametrize(
    ("name", "metadata", "entry"),
    [
        ("pay", {"name": "pay"}, "API_KEY"),
        ("prod/pay:KEY", {"name": "pay", "namespace": "prod"}, "KEY"),
        ("no:y", {"name": "no"}, "y"),  # words that a reader of YAML would take for booleans
        ("1.2:0x10", {"name": "1.2"}, "0x10"),
    ],
)
def test_pyyaml_reads_a_secret(shape: str, name: str, metadata: dict[str, str], entry: str):
    text = KEYS[shape]
    manifest = yaml.safe_load(FORMATS["k8s-secret"].render(Content(text, name)))

    assert manifest == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "stringData": {entry: text},
    }


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("env", [None, "", "1A", "A-B", "A B", "A=B", "A\n", "É", "x" * 201, "A;id", "$A", "\x1b[2J"]),
        ("dotenv", [None, "", "1A", "A.B"]),
        ("k8s-secret", [None, "", "Pay", "pay_x", "-a", "/pay", "a/b/c", "pay:", "pay:..", "pay:a b", "x" * 254]),
        ("k8s-secret", ["prod/", "PROD/pay", "pay:" + "x" * 254, "a..b", "pay\n"]),
        ("systemd-credential", ["", ".", "..", "a/b", "a:b", "x" * 256, "a\n"]),
    ],
)
def test_invalid_names_are_refused_with_an_example(layout: str, names: list[str | None]):
    for name in names:
        with pytest.raises(UsageError) as error:
            FORMATS[layout].check_name(name)
        assert "--as " in error.value.hint
        assert error.value.message.isprintable()


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(UsageError) as error:
        format_named("k8s")
    assert "k8s-secret" in error.value.hint
    with pytest.raises(UsageError) as error:
        format_named("zzz")
    assert re.findall(r"[\w-]+", error.value.hint)[1:] == list(FORMATS)


def test_json_is_the_object_with_the_key():
    content = FORMATS["json"].render(Content(KEY, None, {"id": "key_1", "name": "é"}))

    assert json.loads(content) == {"id": "key_1", "name": "é", "key": KEY}
