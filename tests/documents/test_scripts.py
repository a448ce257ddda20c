"""The scripts of the topic work, and the mistakes it warns of are mistakes."""

from __future__ import annotations

import pytest

from tests.documents.pages import fenced, topic
from tests.runner import Cli


@pytest.fixture
def in_ci(cli: Cli) -> Cli:
    cli("init", "--argon2", "m=8,t=1,p=1", check=0)
    return cli


def test_a_key_for_one_ci_job_works_and_is_revoked_at_its_end(in_ci: Cli):
    [job] = fenced(topic("scripts"), "bash")

    result = in_ci.shell(job, env={"BUILD_NUMBER": "42"})

    mask, verified, revoked = result.out.splitlines()
    assert mask.startswith("::add-mask::kc_test_")
    prefix = verified.removeprefix("VALID ")
    assert mask.removeprefix("::add-mask::").startswith(f"{prefix}_")
    assert revoked == f"revoked {prefix}"
    assert not (in_ci.cwd / "ci.key").exists()
    assert in_ci("show", prefix, "--json", check=0).json["status"] == "revoked"
    assert "build 42" in in_ci("audit", "list", "--key", prefix, check=0).out


def test_a_key_for_one_ci_job_is_revoked_if_the_job_fails(in_ci: Cli):
    [job] = fenced(topic("scripts"), "bash")

    in_ci.shell(f"{job}false", check=1)

    [key] = in_ci("list", "--json", check=0).json["keys"]
    assert key["status"] == "revoked"


def test_the_wrong_lines_continue_without_a_key_and_the_right_ones_do_not(cli: Cli):
    env = {"KEYCTL_STORE": "./missing.db"}
    scripts = fenced(topic("scripts"), "sh")
    [wrong] = [script for script in scripts if "# wrong" in script]
    right = scripts[scripts.index(wrong) + 1]

    cli.shell(f"set -e; {wrong}", env=env)
    assert (cli.cwd / ".env").read_text() == "KEY=\n"
    (cli.cwd / ".env").unlink()
    cli.shell(right, env=env, check=5)

    assert not (cli.cwd / ".env").exists()


def test_a_test_of_the_outcome_distinguishes_refused_from_not_known(in_ci: Cli):
    [script] = [script for script in fenced(topic("scripts"), "sh") if "case $code in" in script]
    in_ci("mint", "--scope", "read", "--out", "ci.key", check=0)

    assert in_ci.shell(script).out.endswith("accepted\n")
    assert in_ci.shell(script, env={"KEYCTL_STORE": "./missing.db"}).out == "not known: try again later\n"
    in_ci("revoke", in_ci("list", check=0).out.split("\t")[0], check=0)
    assert in_ci.shell(script).out.endswith("refused\n")


@pytest.mark.parametrize("command", ["owner add acme --ensure", "lock PREFIX", "revoke PREFIX"])
def test_what_may_be_repeated_prints_unchanged(in_ci: Cli, command: str):
    in_ci("mint", check=0)
    prefix = in_ci("list", check=0).out.split("\t")[0]
    words = command.replace("PREFIX", prefix).split()

    first, second = (in_ci(*words, check=0).out for _ in range(2))

    assert first.split()[0] in {"added", "locked", "revoked"}
    assert second == f"unchanged {first.split()[1]}\n"


def test_a_column_may_be_empty_and_cut_keeps_it(in_ci: Cli):
    in_ci("mint", "--name", "tab\tbed", "--owner", "acme", "--create-owner", check=2)
    in_ci("mint", "--owner", "acme", "--create-owner", check=0)

    assert in_ci.shell("keyctl list | cut -f 2,3").out == "\tacme\n"
    assert in_ci.shell("keyctl list | awk -F '\t' '$3 == \"acme\" { print $3 }'").out == "acme\n"
    assert in_ci.shell("keyctl list | while IFS=$'\t' read -r prefix name rest; do echo $name; done").out == "acme\n"
