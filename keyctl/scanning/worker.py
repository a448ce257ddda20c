"""One process of a search: reads tasks from standard input, a line of JSON each, and answers each with a line.

The first line is the formats. It ends when its input does: with the process that started it, however that ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from keyctl.keyformat import KeyFormat
from keyctl.scanning.hits import Hit
from keyctl.scanning.pieces import Lines, Piece, PieceHit, PieceResult, count_lines, search_piece
from keyctl.scanning.search import Searcher

SEARCH, COUNT = "search", "count"


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the terminal: the first one decides
    searcher = Searcher(map(KeyFormat.from_dict, json.loads(sys.stdin.readline())))
    for line in sys.stdin:
        what, pieces = json.loads(line)
        answers = [perform(searcher, what, Piece(*piece)) for piece in pieces]
        try:
            sys.stdout.write(json.dumps(answers) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os._exit(1)  # no one waits for the rest


def perform(searcher: Searcher, what: str, piece: Piece) -> PieceResult | Lines | str:
    """Search a piece, or count its lines; return why that failed, if it did."""
    try:
        return search_piece(searcher, piece) if what == SEARCH else count_lines(piece)
    except OSError as error:
        return error.strerror or str(error)


def read_answer(what: str, answer: Any) -> PieceResult | Lines | str:
    """Read what `perform` returned, from JSON."""
    if isinstance(answer, str):
        return answer
    if what == COUNT:
        return Lines(*answer)
    hits, size = answer
    return PieceResult([PieceHit(Hit(*hit), Lines(*lines)) for hit, lines in hits], size)


if __name__ == "__main__":
    main()
