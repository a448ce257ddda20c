"""What a scan takes beside `grep -rE` of the same expression, over the same files, from memory."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

from keyctl.profiles.files import load_profile
from keyctl.scanning.rules import WRITERS
from keyctl.scanning.rules.subjects import subjects
from tests.benchmarks.measure import Row, command, keyctl
from tests.stores import new_store


def rows(folder: Path, *, quick: bool) -> Iterator[Row]:
    """Yield rows: 1 GB of text, binary data and base64, in files of many sizes; and the greatest size of a process."""
    data = folder / "scanned"
    _write(data, (64 if quick else 1000) * 1_000_000)
    opened = new_store(folder / "scanned.db")
    opened.store.close()
    env = {**os.environ, "KEYCTL_STORE": opened.store.location.url, "LC_ALL": "C"}
    ours = keyctl("scan", data, env=env)
    key_format = load_profile("standard").key_format
    expression = WRITERS["regex"](subjects("standard", [key_format]))
    grep = command(["sh", "-c", 'grep -rE -e "$1" "$2"; [ $? = 1 ]', "sh", expression, data], env=env)
    runs = 3 if quick else 5
    yield Row("scan of files, by the clock", 5.0, ours, grep, runs, by="wall")


def _write(folder: Path, size: int) -> None:
    """Write source code, random bytes and base64 in lines: small files, and one of a quarter of the size."""
    chance = random.Random(1)
    sources = sorted(Path(os.__file__).parent.glob("*.py"))
    text = b"".join(source.read_bytes() for source in sources)[:2_000_000]
    blocks = [text, chance.randbytes(len(text)), _in_lines(chance, len(text))]
    folder.mkdir()
    with (folder / "large").open("wb") as file:
        while file.tell() < size // 4:
            file.write(chance.choice(blocks))
    written, number = size // 4, 0
    while written < size:
        below = folder / f"{number % 50}"
        below.mkdir(exist_ok=True)
        block = chance.choice(blocks)[: chance.choice([2_000, 20_000, 200_000, len(text)])]
        (below / f"{number}").write_bytes(block)
        written, number = written + len(block), number + 1


def _in_lines(chance: random.Random, size: int) -> bytes:
    from base64 import encodebytes

    return encodebytes(chance.randbytes(size * 3 // 4))
