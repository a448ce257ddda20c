"""The fixtures that every test may use. `cli` runs keyctl; `store` does too, and its store is there already."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.runner import Cli

if not os.environ.get("CI"):  # in CI hypothesis has a profile of its own: no deadline, and the same examples each time
    hypothesis.settings.register_profile("keyctl", deadline=None)
    hypothesis.settings.load_profile("keyctl")


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """keyctl with an empty home."""
    cli = Cli(tmp_path)
    yield cli
    cli.close()


@pytest.fixture
def store(cli: Cli, _home_with_store: Path) -> Cli:
    """keyctl with an empty store in its home, whose hashes cost next to nothing."""
    shutil.copytree(_home_with_store, cli.home, dirs_exist_ok=True)
    return cli


@pytest.fixture(scope="session")
def _home_with_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cli = Cli(tmp_path_factory.mktemp("store"))
    cli("init", "--argon2", "m=8,t=1,p=1", check=0)
    cli.close()
    return cli.home
