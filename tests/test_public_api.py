"""What applications may rely on: the names in `__all__`, and what `help()` says of them."""

from __future__ import annotations

import importlib
import inspect
import pydoc
import re
from collections.abc import Callable
from typing import Any

import pytest

import keyctl
import keyctl.verifier
from keyctl.codes import Code
from keyctl.decision import Decision
from keyctl.limiter import Limiter
from keyctl.testing import Clock, MemoryStore
from keyctl.verifier import Verifier
from tests.documents.pages import plain, table

PUBLIC = {plain(module): re.findall(r"`(\w+)`", names) for module, names in table("What is public")}


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_those_in_all(module: str):
    assert importlib.import_module(module).__all__ == PUBLIC[module]


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in PUBLIC.items() for name in names])
def test_every_public_class_says_what_it_is(module: str, name: str):
    said = getattr(importlib.import_module(module), name).__doc__

    # A named tuple or a dataclass without a docstring has its signature for one.
    assert (said or "").partition("\n")[0].endswith(".")


def test_the_names_of_the_package_are_those_of_its_modules():
    assert set(keyctl.__all__) <= set(dir(keyctl))
    assert (keyctl.Verifier, keyctl.Decision, keyctl.Code) == (Verifier, Decision, Code)
    with pytest.raises(AttributeError, match="no attribute 'Verifer'"):
        getattr(keyctl, "Verifer")  # noqa: B009 - mypy knows that it is not there


METHODS = [
    method
    for one in (Verifier, Limiter, MemoryStore, Clock)
    for name, method in inspect.getmembers(one, callable)
    if not name.startswith("_")
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__qualname__)
def test_help_names_every_parameter_what_is_returned_and_what_is_raised(method: Callable[..., Any]):
    said = inspect.getdoc(method) or ""
    signature = inspect.signature(method)

    parameters = [name for name in signature.parameters if name != "self"]
    sections = re.split(r"^(Args|Returns|Raises):$", said, flags=re.MULTILINE)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert re.findall(r"^    (\w+): ", found.get("Args", ""), re.MULTILINE) == parameters
    assert ("Returns" in found) == (signature.return_annotation != "None")
    assert ("Raises" in found) == bool(parameters)


def test_help_of_the_verifier_shows_what_applications_use_and_nothing_else():
    shown = pydoc.render_doc(keyctl.verifier, renderer=pydoc.plaintext)

    assert re.findall(r"^    class (\w+)", shown, re.MULTILINE) == ["Decision", "Request", "Verifier"]
    assert "keyctl.errors" in shown
    assert "Keyring(" not in shown
