"""`keyctl completion`: the scripts, and where `--install` writes them. What TAB offers: tests/test_completion.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyctl.cli.completion_scripts import script
from tests.cli.helpers import ordinarily, refused
from tests.runner import Cli

PLACES = {
    "bash": ".local/share/bash-completion/completions/keyctl",
    "zsh": ".local/share/zsh/site-functions/_keyctl",
    "fish": ".config/fish/completions/keyctl.fish",
}
REPOSITORY = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("shell", PLACES)
def test_the_script_of_a_shell_is_printed(cli: Cli, shell: str):
    result = cli("completion", shell, check=0)

    assert (result.out, result.err) == (script(shell), "")
    assert cli("completion", env={"SHELL": f"/usr/bin/{shell}"}, check=0).out == result.out
    assert cli("completion", shell, "--json", check=0).json == {"shell": shell, "script": script(shell)}
    assert not any(cli.home.iterdir())


@pytest.mark.parametrize("shell", PLACES)
def test_install_writes_the_script_to_where_the_shell_looks(cli: Cli, shell: str):
    file = cli.home / PLACES[shell]

    result = cli("completion", "--install", env={"SHELL": f"/bin/{shell}"}, check=0)

    assert result.out == f"wrote {file}\n"
    assert file.read_text() == script(shell)
    assert [path for path in cli.home.rglob("*") if path.is_file()] == [file]  # no start-up file, nothing left over
    assert ("fpath=" in result.err) is (shell == "zsh")


def test_installing_again_changes_nothing(cli: Cli):
    file = cli.home / PLACES["fish"]
    cli("completion", "fish", "--install", check=0)
    before = file.stat().st_ino

    assert cli("completion", "fish", "--install", check=0).out == f"unchanged {file}\n"
    assert file.stat().st_ino == before
    again = cli("completion", "fish", "--install", "--json", check=0)
    assert again.json == {"shell": "fish", "file": str(file), "changed": False}


def test_installing_replaces_an_older_script_of_keyctl(cli: Cli):
    file = cli.home / PLACES["bash"]
    file.parent.mkdir(parents=True)
    file.write_text("# keyctl's completion for bash. Made by `make completions`.\n")

    cli("completion", "bash", "--install", check=0)

    assert file.read_text() == script("bash")


@pytest.mark.parametrize("content", [b"complete -F _other keyctl\n", b"\xff\xfe"])
def test_a_file_of_another_program_is_not_replaced(cli: Cli, content: bytes):
    file = cli.home / PLACES["bash"]
    file.parent.mkdir(parents=True)
    file.write_bytes(content)

    result = cli("completion", "bash", "--install")

    assert result.code in {4, 21}
    assert result.out == ""
    assert str(file) in result.err
    assert file.read_bytes() == content


def test_a_link_stays_a_link(cli: Cli):
    file, target = cli.home / PLACES["fish"], cli.home / "dotfiles.fish"
    file.parent.mkdir(parents=True)
    target.write_text("# keyctl's completion for fish.\n")
    file.symlink_to(target)

    cli("completion", "fish", "--install", check=0)

    assert file.is_symlink()
    assert target.read_text() == script("fish")


@pytest.mark.parametrize("shell", PLACES)
def test_a_home_that_cannot_be_written_is_an_error_that_says_what_to_do(cli: Cli, shell: str):
    home = cli.cwd / "home"
    home.write_text("")  # a file in place of the folder: not even root can write below it

    result = refused(cli, "completion", shell, "--install", env={"HOME": str(home)}, code=21)

    assert f"cannot write {home}/" in result.err
    assert f"write it elsewhere: keyctl completion {shell} > FILE" in result.err


def test_a_read_only_home_is_an_error(cli: Cli):
    cli.home.chmod(0o500)

    result = ordinarily(cli, "keyctl completion bash --install").expect(21)

    assert "bash-completion/completions/keyctl: " in result.err
    assert "Traceback" not in result.err


def test_the_folders_of_the_xdg_variables_are_used_if_they_are_absolute(cli: Cli):
    data, config, bash = (cli.cwd / name for name in ("data", "config", "bash"))
    env = {"XDG_DATA_HOME": str(data), "XDG_CONFIG_HOME": str(config)}

    for shell in PLACES:
        cli("completion", shell, "--install", env=env, check=0)
    cli("completion", "bash", "--install", env={"BASH_COMPLETION_USER_DIR": str(bash)}, check=0)
    cli("completion", "zsh", "--install", env={"XDG_DATA_HOME": "relative"}, check=0)

    assert (data / "bash-completion/completions/keyctl").exists()
    assert (data / "zsh/site-functions/_keyctl").exists()
    assert (config / "fish/completions/keyctl.fish").exists()
    assert (bash / "completions/keyctl").exists()
    assert (cli.home / PLACES["zsh"]).exists()


def test_the_program_by_its_other_name_is_completed_by_that_name(cli: Cli):
    assert cli.shell("apikeyctl completion bash --install").out.endswith("/completions/apikeyctl\n")
    assert cli.shell("apikeyctl completion fish --install").out.endswith("/completions/apikeyctl.fish\n")
    assert cli.shell("apikeyctl completion zsh --install").out.endswith("/_keyctl\n")


@pytest.mark.parametrize(
    ("args", "env", "says"),
    [
        (["tcsh"], {}, 'no completion for the shell "tcsh"'),
        (["bsah"], {}, 'did you mean "bash"?'),
        ([], {"SHELL": "/bin/dash"}, 'the variable SHELL names "dash"'),
        ([], {"SHELL": None}, "the variable SHELL is not set"),
        (["--install"], {"SHELL": ""}, "the variable SHELL is not set"),
        (["--install"], {"SHELL": "/"}, "the variable SHELL is not set"),
    ],
)
def test_a_shell_that_is_not_known_is_an_error(cli: Cli, args: list[str], env: dict[str, str | None], says: str):
    refused(cli, "completion", *args, env=env, code=2, says=says)
    assert not any(cli.home.iterdir())


def test_the_files_in_the_repository_are_what_the_command_prints():
    for shell, name in {"bash": "keyctl.bash", "zsh": "_keyctl", "fish": "keyctl.fish"}.items():
        assert (REPOSITORY / "completions" / name).read_text() == script(shell)
