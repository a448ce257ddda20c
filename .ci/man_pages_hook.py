"""Makes the manual pages while a wheel is built: hatchling calls it."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPages(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path.insert(0, self.root)  # the tree that is built, not another that is installed
        from keyctl.cli.man_pages import pages  # noqa: PLC0415 - of that tree

        self._folder = Path(tempfile.mkdtemp())
        for name, text in pages().items():
            (self._folder / name).write_text(text, encoding="utf-8")
            build_data["shared_data"][str(self._folder / name)] = f"share/man/man{name[-1]}/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - the base's
        if version != "editable":
            shutil.rmtree(self._folder)
