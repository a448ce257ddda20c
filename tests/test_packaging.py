"""What is in the packages, and what the locks pin. `make dist-check wheel-check` builds them twice and tries one."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import keyctl
from keyctl.cli.man_pages import pages

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]
RUN_TIME = (ROOT / ".ci/requirements.txt").read_text()
DEVELOPMENT = (ROOT / ".ci/requirements-dev.txt").read_text()
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def test_users_are_sent_to_packages_that_their_makers_have_published():
    places = [*(ROOT / "keyctl").rglob("*.py"), *(ROOT / "keyctl").rglob("*.md"), ROOT / "README.md"]
    installing = re.compile(r"pip install (?:'([^']+)'|([a-z0-9_-]+(?:\[[a-z]+\])?))")

    named = {one or other for file in places for one, other in installing.findall(file.read_text())}

    assert named == {"psycopg[binary]", "limits[redis]", "bcrypt"} | {"limits[{address.library}]"}
    locked = set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", DEVELOPMENT, re.MULTILINE))
    assert {re.split(r"\[", name)[0] for name in named} <= locked - {PROJECT["name"], "keyctl"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    build = [sys.executable, "-m", "hatchling", "build", "-d", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(packages: Path) -> dict[str, bytes]:
    (path,) = packages.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: dict[str, bytes]):
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "keyctl").rglob("*") if path.is_file()}
    sources = {name for name in files if "__pycache__" not in name}

    packed = {name for name in wheel if not name.startswith(f"apikeyctl-{keyctl.__version__}.")}

    assert packed == sources
    assert any(name.endswith(".toml") for name in packed)
    assert any("migrations" in name for name in packed)
    assert "keyctl/py.typed" in packed


def test_the_wheel_has_the_manual_pages_where_man_looks(wheel: dict[str, bytes]):
    share = f"apikeyctl-{keyctl.__version__}.data/data/share"

    packed = {name: content.decode() for name, content in wheel.items() if "/man/" in name}

    assert packed == {f"{share}/man/man{name[-1]}/{name}": text for name, text in pages().items()}


def test_the_wheel_has_completion_for_both_commands_where_the_shells_look(wheel: dict[str, bytes]):
    share = f"apikeyctl-{keyctl.__version__}.data/data/share"
    bash, zsh, fish = ((ROOT / "completions" / name).read_bytes() for name in ("keyctl.bash", "_keyctl", "keyctl.fish"))

    assert {name: content for name, content in wheel.items() if ".data/" in name and "/man/" not in name} == {
        f"{share}/bash-completion/completions/keyctl": bash,
        f"{share}/bash-completion/completions/apikeyctl": bash,
        f"{share}/zsh/site-functions/_keyctl": zsh,
        f"{share}/fish/vendor_completions.d/keyctl.fish": fish,
        f"{share}/fish/vendor_completions.d/apikeyctl.fish": fish,
    }


def test_the_wheel_has_both_commands(wheel: dict[str, bytes]):
    entry_points = wheel[f"apikeyctl-{keyctl.__version__}.dist-info/entry_points.txt"].decode()

    assert "keyctl = keyctl.__main__:run" in entry_points.splitlines()
    assert "apikeyctl = keyctl.__main__:run" in entry_points.splitlines()


def test_both_packages_hold_the_license_that_they_name(packages: Path, wheel: dict[str, bytes]):
    text = (ROOT / "LICENSE").read_bytes()
    metadata = wheel[f"apikeyctl-{keyctl.__version__}.dist-info/METADATA"].decode().splitlines()

    with tarfile.open(packages / f"apikeyctl-{keyctl.__version__}.tar.gz") as sdist:
        packed = sdist.extractfile(f"apikeyctl-{keyctl.__version__}/LICENSE")
        assert packed
        assert packed.read() == text

    assert wheel[f"apikeyctl-{keyctl.__version__}.dist-info/licenses/LICENSE"] == text
    assert text.startswith(b"MIT License\n")
    assert {"License-Expression: MIT", "License-File: LICENSE"} <= set(metadata)


def test_every_python_that_is_promised_is_checked():
    promised = re.findall(r" :: Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    matrix = re.search(r"^ +python: \[(.*)\]$", workflow, re.MULTILINE)

    assert matrix
    assert re.findall(r"[\d.]+", matrix[1]) == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_each_action_at_one_commit(workflow: Path):
    actions = re.findall(r"uses: (?!\./)(.*)", workflow.read_text())

    assert actions
    assert [action for action in actions if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)] == []


def pins(lock: str) -> set[tuple[str, str]]:
    """What a lock says of each package: the version, for which platforms and Pythons, the hashes."""
    return set(re.findall(r"^([a-z0-9-]+)==(.* \\\n(?:    --hash=sha256:.*\n)+)", lock, re.MULTILINE))


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        (RUN_TIME, PROJECT["dependencies"] + BUILD["requires"]),
        (DEVELOPMENT, [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]),
    ],
    ids=["run-time", "development"],
)
def test_a_lock_pins_every_requirement_by_hash_and_names_no_address(lock: str, wanted: list[str]):
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted}

    assert names <= {name for name, _ in pins(lock)}
    assert len(pins(lock)) == len(re.findall(r"^\w", lock, re.MULTILINE))
    assert "://" not in lock


def test_development_has_the_pins_of_the_run_time_and_more():
    assert pins(RUN_TIME) < pins(DEVELOPMENT)


def test_typer_stays_below_the_version_that_doubles_every_start():
    version = re.search(r"^typer==0\.(\d+)\.", RUN_TIME, re.MULTILINE)

    assert version
    assert int(version[1]) < 29
