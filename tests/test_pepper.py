"""The pepper file, and hashes that name a pepper."""

from __future__ import annotations

import base64
import hmac
import os
import pickle
import traceback
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from keyctl import hashing, pepper
from keyctl.admin.hash_scheme import set_scheme
from keyctl.admin.minting import KeyMinter, NewKey
from keyctl.bundles.signing import SigningKey
from keyctl.errors import (
    BundleUntrusted,
    ConfigurationInvalid,
    PepperMissing,
    Refused,
    StoreUnavailable,
    UsageError,
)
from keyctl.hashing import Argon2id, Scheme, Sha256, needs_rehash, parameters_from_dict, scheme_of, verify
from keyctl.pepper import Peppers
from keyctl.verifier import Verifier
from tests.bundle_files import export, forge
from tests.samples import FORMATS
from tests.stores import ACTOR, CHEAP, Kept, new_store

KEY = "kc_live_0123456789AB_CDEFGHIJKLMNOPQRSTUVWXYZabcdefg01BMLu1"
DAY = date(2026, 1, 31)
SECRETS = {"new": "A" * 42 + "E", "old": "B" * 42 + "I"}
OLD, NEW = (f"{name} {SECRETS[name]}\n" for name in ("old", "new"))
SCHEMES = [Argon2id(8, 1, 1, pepper="old"), Sha256(pepper="old")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "pepper", NEW + OLD)


def write(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    """Write a file in one step, as those who distribute secrets do."""
    beside = path.with_name("beside")
    beside.write_bytes(text.encode() if isinstance(text, str) else text)
    beside.chmod(mode)
    return beside.replace(path)


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_has_its_peppers_in_their_order(file: Path):
    peppers = Peppers(file)

    assert (peppers.ids, peppers.newest) == (("new", "old"), "new")
    assert peppers.accepts("old")
    assert not peppers.accepts("other")
    assert not peppers.accepts(None)


def test_a_last_line_none_accepts_hashes_without_a_pepper(file: Path):
    write(file, f"{OLD}none\n")

    assert Peppers(file).accepts(None)
    assert Peppers(file).ids == ("old",)


@pytest.mark.parametrize("text", [OLD, OLD[:-1], f"{OLD}none", OLD + NEW])
def test_a_file_may_end_without_a_line_feed(file: Path, text: str):
    assert Peppers(write(file, text)).newest == "old"


MALFORMED = {
    "": 1,
    "\n": 1,
    "none\n": 1,
    f"none\n{OLD}": 1,
    f"{OLD}none\n{NEW}": 2,
    f"{OLD}none\nnone\n": 2,
    f"{OLD}\n{NEW}": 2,
    f"{OLD}\n": 2,
    f"{OLD}# a comment\n": 2,
    f"{OLD}None\n": 2,
    f"{OLD}none \n": 2,
    OLD + OLD: 2,
    f"{OLD}old {SECRETS['new']}\n": 2,
    f" {OLD}": 1,
    OLD.replace(" ", "  "): 1,
    OLD.replace(" ", "\t"): 1,
    OLD.replace("\n", "\r\n"): 1,
    OLD.replace("\n", " \n"): 1,
    OLD.replace("\n", "=\n"): 1,
    OLD.replace("I\n", "J\n"): 1,  # has bits that no byte has
    OLD.replace("I\n", "\n"): 1,
    OLD.replace("I\n", "II\n"): 1,
    OLD.replace("BI", "*I"): 1,
    OLD.replace("BI", "éI"): 1,
    OLD.replace("old", "Old"): 1,
    OLD.replace("old", "o_d"): 1,
    OLD.replace("old", "-old"): 1,
    OLD.replace("old", "none"): 1,
    OLD.replace("old", "o" * 25): 1,
    OLD.replace("old", ""): 1,
    f"{SECRETS['old']} old\n": 1,
    SECRETS["old"]: 1,
    "\0": 1,
}


@pytest.mark.parametrize(("text", "line"), MALFORMED.items(), ids=range(len(MALFORMED)))
def test_a_malformed_file_is_refused_by_its_line_and_nothing_of_it_is_quoted(file: Path, text: str, line: int):
    write(file, text)

    with pytest.raises(ConfigurationInvalid) as error:
        Peppers(file)

    assert f"{file}, line {line}: " in error.value.message
    printed = "".join(traceback.format_exception(error.value)) + str(error.value.hint)
    assert not [secret for secret in SECRETS.values() if secret[:12] in printed or secret[-12:] in printed]


@pytest.mark.parametrize(
    ("mode", "accepted"),
    [(0o600, True), (0o400, True), (0o440, True), (0o640, True), (0o660, False), (0o604, False), (0o602, False)],
)
def test_a_file_that_others_may_read_or_change_is_refused(file: Path, mode: int, *, accepted: bool):
    file.chmod(mode)

    if accepted:
        assert Peppers(file).ids
    else:
        with pytest.raises(ConfigurationInvalid, match="other users may read or change the pepper file") as error:
            Peppers(file)
        assert error.value.hint == f"chmod 600 {file}"


def test_what_is_no_file_is_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for name, problem in {"missing": "does not exist", ".": "Is a directory", "pipe": "cannot read"}.items():
        with pytest.raises(ConfigurationInvalid, match=problem):
            Peppers(tmp_path / name)


def test_no_secret_is_in_a_repr_or_an_error(file: Path):
    peppers = Peppers(file)
    with pytest.raises(PepperMissing) as error:
        peppers.mix(KEY, "other")

    printed = f"{peppers!r} {peppers}" + "".join(traceback.format_exception(error.value)) + repr(vars(error.value))
    printed += repr(pickle.dumps(error.value.args))
    assert not [secret for secret in SECRETS.values() if secret[:12] in printed]
    assert repr(base64.urlsafe_b64decode(SECRETS["new"] + "=")) not in printed
    assert KEY[21:] not in printed


# ── a file that changes ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pepper_that_is_added_later_is_found(file: Path):
    write(file, OLD)
    peppers = Peppers(file)
    with pytest.raises(PepperMissing, match=r'the pepper "new" is required, and is not in'):
        peppers.mix(KEY, "new")

    write(file, OLD + NEW)

    assert peppers.mix(KEY, "new") == Peppers(file).mix(KEY, "new")


def test_a_file_is_read_again_only_if_it_was_replaced(file: Path, monkeypatch: pytest.MonkeyPatch):
    peppers = Peppers(file)
    write(file, OLD)
    read: list[Path] = []
    monkeypatch.setattr(pepper, "_read", lambda path, reader=pepper._read: read.append(path) or reader(path))

    accepted = [peppers.accepts(name) for name in ("old", "new", None, "other", None)]

    assert accepted == [True, True, False, False, False]
    assert read == [file]


@pytest.mark.parametrize("change", ["malformed", "open to all", "removed"])
def test_a_file_that_becomes_unreadable_leaves_the_peppers_that_were_read(file: Path, change: str):
    write(file, OLD)
    peppers = Peppers(file)
    mixed = peppers.mix(KEY, "old")

    write(file, OLD + NEW if change == "open to all" else OLD + "new\n", 0o604 if change == "open to all" else 0o600)
    if change == "removed":
        file.unlink()

    with pytest.raises(PepperMissing) as error:
        peppers.mix(KEY, "new")
    assert str(file) in error.value.message
    assert peppers.mix(KEY, "old") == mixed


# ── new peppers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_file_is_for_its_owner_alone_and_has_32_random_bytes(tmp_path: Path):
    first, second = (tmp_path / name for name in ("first", "second"))

    assert pepper.add(first, None, today=DAY) == pepper.add(second, None, today=DAY) == "2026-01-31"

    assert first.stat().st_mode & 0o777 == 0o600
    secrets = {path.read_text().split()[1] for path in (first, second)}
    assert [len(base64.urlsafe_b64decode(secret + "=")) for secret in secrets] == [32, 32]


def test_a_pepper_is_added_at_the_top_and_the_rest_stays(file: Path):
    write(file, f"{OLD}none")

    assert pepper.add(file, "new", today=DAY) == "new"

    assert file.read_text().startswith("new ")
    assert file.read_text().endswith(f"\n{OLD}none")
    assert [path.name for path in file.parent.iterdir()] == ["pepper"]


def test_an_id_after_the_date_is_unique(file: Path):
    assert [pepper.add(file, None, today=DAY) for _ in range(3)] == ["2026-01-31", "2026-01-31-2", "2026-01-31-3"]


def test_a_file_keeps_its_mode(file: Path):
    file.chmod(0o640)

    pepper.add(file, None, today=DAY)

    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["", "none", "New", "-new", "n" * 25, "a b", "a\n", "a_b"])
def test_an_id_that_no_file_may_have_is_refused(file: Path, name: str):
    with pytest.raises(UsageError, match="is not an id of a pepper"):
        pepper.add(file, name, today=DAY)

    assert file.read_text() == NEW + OLD


def test_nothing_is_added_to_a_file_that_has_the_id_or_a_fault(file: Path):
    with pytest.raises(Refused, match='already has a pepper "old"'):
        pepper.add(file, "old", today=DAY)
    assert file.read_text() == NEW + OLD

    write(file, OLD + OLD)
    with pytest.raises(ConfigurationInvalid):
        pepper.add(file, None, today=DAY)
    assert file.read_text() == OLD + OLD


def test_a_link_is_not_replaced(file: Path):
    link = file.with_name("link")
    link.symlink_to(file)

    with pytest.raises(UsageError, match="is not a regular file"):
        pepper.add(link, None, today=DAY)

    assert link.is_symlink()
    assert file.read_text() == NEW + OLD


# ── hashes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_hashed_is_the_hmac_of_the_key(file: Path):
    phc = Sha256(pepper="old").hash(KEY, Peppers(file))

    empty, scheme, keyid, salt, digest = phc.split("$")
    assert (empty, scheme, keyid) == ("", "sha256", "keyid=old")
    secret = base64.urlsafe_b64decode(SECRETS["old"] + "=")
    inner = hmac.digest(secret, KEY.encode(), "sha256")
    outer = hashing.sha256(base64.b64decode(salt + "==") + inner).digest()
    assert base64.b64encode(outer).decode().rstrip("=") == digest


def test_argon2id_hashes_what_sha256_hashes(file: Path):
    phc = Argon2id(8, 1, 1, pepper="old").hash(KEY, Peppers(file))

    assert phc.startswith("$argon2id$v=19$m=8,t=1,p=1,keyid=old$")
    inner = Peppers(file).mix(KEY, "old")
    assert hashing.verify_secret(phc.replace(",keyid=old", "").encode(), inner, hashing.Type.ID)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_hash_fits_its_key_under_its_pepper_alone(file: Path, scheme: Scheme):
    peppers = Peppers(file)
    phc = scheme.hash(KEY, peppers)

    assert verify(KEY, phc, own=scheme, peppers=peppers)
    assert not verify(KEY[:-1], phc, peppers=peppers)
    assert not verify(KEY, phc.replace("keyid=old", "keyid=new"), peppers=peppers)
    assert not verify(KEY, scheme.decoy(), peppers=peppers)
    without = phc.replace(",keyid=old", "").replace("$keyid=old", "")
    assert without != phc
    assert not verify(KEY, without)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_hash_whose_pepper_is_missing_is_an_unknown_answer(file: Path, scheme: Scheme):
    phc = scheme.hash(KEY, Peppers(file))
    only_new = Peppers(write(file, NEW))

    for text in (KEY, KEY[:-1]):
        with pytest.raises(PepperMissing, match='"old" is required, and no pepper file is given'):
            verify(text, phc)
        with pytest.raises(PepperMissing, match=f'"old" is required, and is not in {file}'):
            verify(text, phc, peppers=only_new)
    with pytest.raises(PepperMissing, match="no pepper file"):
        scheme.hash(KEY)


@pytest.mark.parametrize("scheme", [Argon2id(8, 1, 1), Sha256()], ids=str)
def test_a_hash_without_a_pepper_is_accepted_only_where_the_file_says_so(file: Path, scheme: Scheme):
    made_up = scheme.hash(KEY)

    for make in (lambda: verify(KEY, made_up, peppers=Peppers(file)), lambda: scheme.hash(KEY, Peppers(file))):
        with pytest.raises(PepperMissing, match="without a pepper"):
            make()
    assert verify(KEY, made_up, peppers=Peppers(write(file, f"{NEW}none")))


@pytest.mark.parametrize("scheme", [*SCHEMES, Argon2id(64, 3, 2), Sha256()], ids=str)
def test_a_scheme_is_read_back_from_the_store_and_from_its_hashes(file: Path, scheme: Scheme):
    peppers = Peppers(file) if scheme.pepper else None

    assert parameters_from_dict(scheme.to_dict()) == scheme
    assert scheme_of(scheme.hash(KEY, peppers)) == scheme_of(scheme.decoy()) == scheme
    assert ("pepper" in scheme.to_dict()) == (scheme.pepper is not None)


@pytest.mark.parametrize("name", ["", "A", "a,m=8", "a$", 1, "a" * 25])
def test_a_setting_with_a_malformed_pepper_is_refused(name: object):
    with pytest.raises((ValueError, TypeError)):
        parameters_from_dict({"scheme": "sha256", "pepper": name})


@pytest.mark.parametrize(
    ("present", "wanted", "needed"),
    [
        (None, None, False),
        (None, "old", True),
        ("old", "new", True),
        ("old", "old", False),
        ("old", None, False),  # which would weaken it
    ],
)
def test_a_hash_is_replaced_where_the_store_uses_another_pepper(
    file: Path, present: str | None, wanted: str | None, *, needed: bool
):
    peppers = Peppers(file) if present else None
    for scheme in (Argon2id(8, 1, 1, pepper=present), Sha256(pepper=present)):
        phc = scheme.hash(KEY, peppers)
        assert needs_rehash(phc, Sha256(pepper=wanted)) is needed
    assert (
        needs_rehash(Argon2id(64, 1, 1, pepper=present).hash(KEY, peppers), Argon2id(8, 1, 1, pepper=wanted)) is needed
    )


# ── verifiers ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Peppered:
    """A store whose new keys have the pepper `old`, and what changes it."""

    def __init__(self, folder: Path, file: Path) -> None:
        self.opened = new_store(folder / "store.db")
        self.file = file
        self.use("old")

    def use(self, name: str) -> None:
        set_scheme(self.opened.store, ACTOR, replace(CHEAP, pepper=name))

    def mint(self) -> str:
        kept = Kept()
        KeyMinter(self.opened.store, ACTOR, peppers=Peppers(self.file), clock=self.opened.clock).mint(NewKey(), kept)
        return kept.minted[0].text

    def verifier(self, pepper_file: Path | None) -> Verifier:
        return Verifier.from_store(str(self.opened.path), pepper_file=pepper_file, clock=self.opened.clock)


@pytest.fixture
def store(tmp_path: Path, file: Path) -> Iterator[Peppered]:
    peppered = Peppered(tmp_path, file)
    yield peppered
    peppered.opened.store.close()


def wrong_secret(key: str) -> str:
    """Return a key with another secret, and a right checksum."""
    other = FORMATS["standard"].generate(1, env="live")[0].text
    mixed = key[:21] + other[21:]
    return FORMATS["standard"].format(FORMATS["standard"].parse_unchecked(mixed))


@pytest.mark.parametrize("given", [None, NEW])
def test_a_verifier_without_the_pepper_refuses_no_key(store: Peppered, given: str | None):
    key = store.mint()
    unknown = FORMATS["standard"].generate(1, env="live")[0].text
    only_new = write(store.file.with_name("given"), given) if given else None

    with closing(store.verifier(only_new)) as verifier:
        for text in (key, wrong_secret(key), unknown):
            with pytest.raises(PepperMissing, match='the pepper "old" is required') as error:
                verifier.verify(text)
            assert (error.value.code, error.value.exit_code) == ("PEPPER_MISSING", 5)
            assert isinstance(error.value, StoreUnavailable)
        assert verifier.verify(key[:-1]).code == "INVALID_API_KEY"
        assert verifier.wrong_secrets() == {}


def test_an_unknown_prefix_costs_what_a_wrong_secret_costs(store: Peppered, monkeypatch: pytest.MonkeyPatch):
    key = store.mint()
    unknown = FORMATS["standard"].generate(1, env="live")[0].text
    costs: list[object] = []
    mix, compute = Peppers.mix, hashing.verify_secret
    monkeypatch.setattr(Peppers, "mix", lambda *args: costs.append(args[2]) or mix(*args))
    monkeypatch.setattr(hashing, "verify_secret", lambda *args: costs.append(args[0].split(b"$")[3]) or compute(*args))

    with closing(store.verifier(store.file)) as verifier:
        reasons, spent = [], []
        for text in (unknown, wrong_secret(key)):
            costs.clear()
            reasons.append(verifier.verify(text).reason)
            spent.append(list(costs))

    assert reasons == ["unknown prefix", "wrong secret"]
    assert spent == [["old", b"m=8,t=1,p=1"]] * 2


def test_a_pepper_is_replaced_without_a_restart(store: Peppered):
    write(store.file, OLD)
    keys = [store.mint()]

    with closing(store.verifier(store.file)) as verifier:
        assert verifier.verify(keys[0])
        write(store.file, NEW + OLD)
        store.use("new")
        keys.append(store.mint())
        assert [verifier.verify(key).code for key in keys] == ["VALID", "VALID"]
        assert verifier.verify(wrong_secret(keys[1])).reason == "wrong secret"
        assert not [secret for secret in SECRETS.values() if secret[:12] in repr(vars(verifier))]


def test_a_verifier_is_not_made_of_a_pepper_file_that_cannot_be_used(store: Peppered):
    store.file.chmod(0o644)

    with pytest.raises(ConfigurationInvalid, match="other users may read"):
        store.verifier(store.file)
    with pytest.raises(ConfigurationInvalid, match="does not exist"):
        Verifier.from_bundle("no.bundle", [], pepper_file=store.file.with_name("missing"))


def test_a_bundle_needs_the_pepper_of_its_keys(store: Peppered, tmp_path: Path):
    key, signer = store.mint(), SigningKey.create(tmp_path / "signer")
    header = export(store.opened, tmp_path / "keys.bundle", signer)

    def verifier(pepper_file: Path | None) -> Verifier:
        trust = [signer.public_text]
        clock = store.opened.clock
        return Verifier.from_bundle(tmp_path / "keys.bundle", trust, pepper_file=pepper_file, clock=clock)

    assert header.peppers == ("old",)
    with closing(verifier(store.file)) as opened:
        assert opened.verify(key)
    with closing(verifier(None)) as opened, pytest.raises(PepperMissing, match='"old" is required'):
        opened.verify(key)


@pytest.mark.parametrize("peppers", ["old", [1], [["old"]], {"old": 1}, None, 1])
def test_a_header_with_malformed_peppers_is_refused(store: Peppered, tmp_path: Path, peppers: object):
    signer = SigningKey.create(tmp_path / "signer")
    export(store.opened, tmp_path / "keys.bundle", signer)
    forge(tmp_path / "keys.bundle", signer, peppers=peppers)

    with pytest.raises(BundleUntrusted):
        Verifier.from_bundle(tmp_path / "keys.bundle", [signer.public_text], clock=store.opened.clock)
