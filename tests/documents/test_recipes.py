"""Every recipe works as it is written: its files are read by what they are for, and its commands are run.

What needs another machine is simulated: a file of GitHub's runner, the shell of GitLab's, a container or a unit without
its isolation. The programs that only a server can run (docker, kubectl, systemctl) note what they are asked for.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from tests.cli.helpers import CHEAP, mint, verify
from tests.documents.pages import fenced, topic
from tests.documents.quick_shell import QuickShell
from tests.runner import Cli

PAGE = topic("recipes")
FILES = {
    block.splitlines()[0].removeprefix("# "): block
    for language in ("makefile", "yaml", "ini")
    for block in fenced(PAGE, language)
}
SHELL = {next(tool for tool in ("docker", "kubectl", "systemctl") if tool in one): one for one in fenced(PAGE, "sh")}
COMMIT = "git -c user.name=jo -c user.email=jo@x commit -qm"
SEES = '#!/bin/sh\nprintf %s "$API_KEY" >> "$SEEN"\n'


@pytest.fixture
def reader(cli: Cli) -> Cli:
    """Someone who has a store and the files of the recipes, and programs of their own that use the key."""
    cli("init", *CHEAP, check=0)
    for name, text in {**FILES, "run-tests": SEES, "worker": SEES}.items():
        file = cli.cwd / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text == SEES else 0o644)
    cli.env["SEEN"] = str(cli.cwd / "seen")
    subprocess.run(["git", "init", "-q"], cwd=cli.cwd, check=True)
    return cli


@pytest.fixture
def shell(reader: Cli) -> QuickShell:
    return QuickShell(reader, absent=("docker", "kubectl", "systemctl"))


def seen(reader: Cli) -> str:
    """Return the key that a program of the reader got, and forget it."""
    file = reader.cwd / "seen"
    text = file.read_text()
    file.unlink()
    return text


def active(reader: Cli) -> list[str]:
    keys = reader("list", "--status", "active", "--json", check=0).json["keys"]
    return [key["name"] for key in keys]


def run_command(shell: QuickShell, command: list[str], **places: str | Path) -> None:
    """Run the command of a container or a unit, whose paths are elsewhere here."""
    line = shlex.join(word.replace("$$", "$") for word in command)
    for path, here in places.items():
        line = line.replace(path.replace("__", "/"), str(here))
    shell(line)


def test_make_leaves_one_key_for_development_and_none_of_a_test(reader: Cli, shell: QuickShell):
    for _ in range(2):
        shell("make key")

    assert active(reader) == ["dev"]
    key = dotenv_values(reader.cwd / ".env")["API_KEY"]
    assert verify(reader, str(key), "--env", "test", "--scope", "read") == "VALID"
    shell("make test")
    assert verify(reader, seen(reader)) == "KEY_REVOKED"
    assert active(reader) == ["dev"]


def test_a_container_of_compose_reads_the_key(reader: Cli, shell: QuickShell):
    shell(SHELL["docker"] * 2)

    composed = yaml.safe_load(FILES["compose.yaml"])
    (service,) = composed["services"].values()
    assert composed["secrets"].keys() == set(service["secrets"])
    file = reader.cwd / composed["secrets"]["api_key"]["file"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert active(reader) == ["worker"]
    assert shell.called == ["docker compose up --detach"] * 2
    run_command(shell, service["command"], __run__secrets__api_key=file, __app=reader.cwd)
    assert verify(reader, seen(reader), "--scope", "read") == "VALID"


def test_a_workflow_of_github_masks_its_key_and_revokes_it(reader: Cli, shell: QuickShell, tmp_path: Path):
    file = reader.cwd / ".github/workflows/test.yml"
    lint = subprocess.run(
        [Path(sys.executable).parent / "actionlint", file], capture_output=True, text=True, check=False
    )
    assert lint.stdout + lint.stderr == ""
    reader("admin-token", "set", stdin="twelve letters", check=0)
    (job,) = yaml.safe_load(FILES[".github/workflows/test.yml"])["jobs"].values()
    environment = {
        "secrets.KEYCTL_STORE": str(reader.home / ".local/share/keyctl/keyctl.db"),
        "secrets.KEYCTL_ADMIN_TOKEN": "twelve letters",
        "github.run_id": "77",
        "github.workflow": "test",
    }
    given = {
        name: re.sub(r"\$\{\{ ([^ ]+) \}\}", lambda one: environment[one[1]], value)
        for name, value in job["env"].items()
    }
    exported = tmp_path / "github-env"
    exported.touch()
    keys, logs = [], []

    for step in job["steps"]:
        if "run" in step:
            env = {**given, "GITHUB_RUN_ID": "77", "GITHUB_ENV": str(exported), **dict(_lines(exported))}
            result = shell(step["run"], bash="-e", env=env)
            logs.append(result.out + result.err)
            if "./run-tests" in step["run"]:
                keys.append(seen(reader))

    at_once, shared = keys
    assert logs[2].startswith(f"::add-mask::{shared}\n")
    for key in keys:
        assert key not in "".join(logs).replace(f"::add-mask::{shared}\n", "")
        assert verify(reader, key) == "KEY_REVOKED"
    assert at_once != shared
    claimed = {
        event["claimed_actor"] for event in reader("audit", "list", "--action", "key.minted", "--json").json["events"]
    }
    assert claimed == {"run 77 of test"}


def test_a_live_key_in_the_history_fails_the_pipelines(reader: Cli, shell: QuickShell):
    key = mint(reader)["key"]
    shell(f"echo 'key = {key}' > settings; git add settings; {COMMIT} leak; git rm -q settings; {COMMIT} gone")
    (job,) = yaml.safe_load(FILES[".github/workflows/test.yml"])["jobs"].values()
    [github] = [step["run"] for step in job["steps"] if "scan" in step.get("run", "")]
    [gitlab] = yaml.safe_load(FILES[".gitlab-ci.yml"])["leaks"]["script"]

    for line in (github, gitlab):
        assert "settings" in shell(f"code=0; {line} || code=$?; [ $code = 9 ]").out


def _lines(file: Path) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (line.partition("=") for line in file.read_text().splitlines())]


def test_the_jobs_of_gitlab_leave_no_key(reader: Cli, shell: QuickShell):
    pipeline = yaml.safe_load(FILES[".gitlab-ci.yml"])
    variables = {name: text.replace("$CI_JOB_ID", "99") for name, text in pipeline.pop("variables").items()}
    env = {"CI_JOB_ID": "99", **variables}
    keys = []

    for name, job in pipeline.items():
        assert job.keys() <= {"variables", "before_script", "script", "after_script"}
        # A runner joins the first two into one script, and runs the last one by itself.
        log = shell("\n".join(job.get("before_script", []) + job["script"]), env=env)
        after = shell("\n".join(job.get("after_script", [])), env=env)
        if name == "leaks":
            continue
        keys.append(seen(reader))
        assert keys[-1] not in log.out + log.err + after.out + after.err

    assert len(set(keys)) == 2
    assert {verify(reader, key) for key in keys} == {"KEY_REVOKED"}
    assert not (reader.cwd / "ci.key").exists()


def test_a_deployment_of_kubernetes_uses_the_secret(reader: Cli, shell: QuickShell):
    shell(SHELL["kubectl"] * 2)

    manifest = (reader.cwd / "payments-key.yaml").read_text()
    secret, deployment = yaml.safe_load(manifest), yaml.safe_load(FILES["payments.yaml"])
    assert active(reader) == ["payments"]
    assert shell.called == ["kubectl apply -f payments-key.yaml"] * 2
    assert (secret["kind"], secret["metadata"]["namespace"]) == ("Secret", deployment["metadata"]["namespace"])
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    variables = {
        one["name"]: secret["stringData"][one["valueFrom"]["secretKeyRef"]["key"]]
        for one in container["env"]
        if one["valueFrom"]["secretKeyRef"]["name"] == secret["metadata"]["name"]
    }
    run_command(
        shell,
        ["env", *(f"{name}={value}" for name, value in variables.items()), *container["command"]],
        __app=reader.cwd,
    )
    assert verify(reader, seen(reader), "--scope", "read") == "VALID"
    if kubectl := shutil.which("kubectl"):
        listed = _said(kubectl, "set", "env", "--local", "--list", "-f", reader.cwd / "payments.yaml")
        assert "API_KEY from secret payments, key API_KEY" in listed
        assert "secret/payments" in _said(
            kubectl, "label", "--local", "-o", "name", "a=b", "-f", reader.cwd / "payments-key.yaml"
        )


def test_a_unit_of_systemd_reads_its_credential(reader: Cli, shell: QuickShell):
    here = reader.cwd / "etc"
    here.mkdir()
    shell(SHELL["systemctl"].replace("/etc/shop", str(here)) * 2)

    unit = configparser.ConfigParser(interpolation=None, delimiters="=")
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(reader.cwd / "shop.service")
    name, _, file = unit["Service"]["LoadCredential"].partition(":")
    assert active(reader) == ["shop"]
    assert shell.called == ["systemctl restart shop"] * 2
    credentials = reader.cwd / "credentials"  # what systemd makes of LoadCredential
    credentials.mkdir()
    shutil.copy(file.replace("/etc/shop", str(here)), credentials / name)
    reader.env["CREDENTIALS_DIRECTORY"] = str(credentials)
    run_command(shell, shlex.split(unit["Service"]["ExecStart"]), __opt__shop=reader.cwd)
    assert verify(reader, seen(reader), "--scope", "read") == "VALID"
    if analyze := shutil.which("systemd-analyze"):
        assert _said(analyze, "verify", reader.cwd / "shop.service") == ""


def _said(*command: Any) -> str:
    env = {**os.environ, "KUBECONFIG": os.devnull}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
