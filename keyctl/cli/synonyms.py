"""The hints of usage errors: what other tools call a command or an option, and typing errors.

No hint is better than a wrong one. A word that keyctl has nothing for is not in the tables, and a known word is
suggested for a typing error only, never because it looks alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 100  # characters of what was typed that are compared

# By group, "" is the top level: what to type after `keyctl`, and what other tools call it.
COMMANDS: dict[str, dict[str, str]] = {
    "": {
        "help": "man commands topics",
        "help tour": "tutorial examples quickstart",
        "init": "setup initialize initialise",
        "mint": "create new add generate gen issue make keygen",
        "list": "ls keys search find",
        "show": "get describe info view cat",
        "rotate": "roll regenerate reissue rekey renew cycle",
        "revoke": "rm remove delete del destroy invalidate kill",
        "lock": "disable suspend pause freeze block ban deactivate",
        "unlock": "enable unsuspend resume unpause unfreeze unblock unban reactivate",
        "expire": "ttl expiry expiration extend renew",
        "scope": "grant scopes permissions permission",
        "update": "edit rename modify change tag label",
        "prune": "purge gc cleanup clean vacuum",
        "owner list": "users customers accounts tenants owners",
        "owner": "user customer account tenant",
        "owner add": "add",
        "owner disable": "disable suspend ban deactivate",
        "owner enable": "enable unsuspend unban reactivate",
        "run": "exec with spawn inject env",
        "apply": "sync reconcile plan declare",
        "import": "load ingest migrate",
        "export": "dump",
        "verify": "validate check test authenticate introspect",
        "inspect": "decode parse",
        "report": "hygiene stats statistics summary stale",
        "scan": "grep leak leaks leaked detect secrets",
        "audit list": "log logs history events",
        "config show": "whoami settings status",
        "config use": "use switch context",
        "config list": "contexts stores",
        "doctor": "diagnose health healthcheck fsck",
        "db status": "status",
        "db upgrade": "migrate upgrade",
        "db copy": "migrate",
        "db backup": "backup",
        "db restore": "restore",
        "profile show": "scopes permissions",
    },
    "admin-token": {
        "admin-token set": "create new add init",
        "admin-token rotate": "replace change roll",
        "admin-token clear": "rm remove delete unset disable",
    },
    "audit": {
        "audit list": "ls log logs show history events",
        "audit verify": "check validate",
    },
    "bundle": {
        "bundle export": "create new make write sign build",
        "bundle show": "inspect verify check validate info describe",
        "bundle key": "keygen pubkey public-key",
    },
    "config": {
        "config show": "get view",
        "config list": "ls contexts get-contexts current-context",
        "config use": "switch select set context use-context set-context",
        "config add": "create new set-url",
        "config remove": "rm delete del unset forget",
    },
    "db": {
        "db status": "show info check version",
        "db upgrade": "migrate update",
        "db copy": "migrate move clone",
        "db backup": "dump export save",
        "db restore": "load import",
    },
    "owner": {
        "owner add": "create new make",
        "owner list": "ls search find",
        "owner show": "get describe info view",
        "owner update": "edit rename modify change set",
        "owner disable": "rm remove delete del destroy suspend lock pause block ban deactivate",
        "owner enable": "unsuspend unlock resume unpause unblock unban reactivate",
    },
    "help": {
        "help applications": "python library api",
        "help configuration": "environment env variables",
        "help exit-codes": "errors codes",
        "help frameworks": "asgi wsgi middleware fastapi starlette litestar quart flask django web",
        "help output": "formatting formats columns table csv tsv markdown pager less watch",
        "help performance": "speed benchmarks",
        "help postgres": "pg database",
        "help requests": "http headers",
        "help scripts": "ci automation pipelines",
        "help testing": "pytest unittest fixtures mocks",
        "help tour": "getting-started",
    },
    "profile": {
        "profile list": "ls",
        "profile show": "get describe info view cat",
        "profile check": "validate verify lint test",
        "profile apply": "set update use import change",
    },
}
# What to type, and what other tools call it. Each holds for commands that have the option.
OPTIONS: dict[str, str] = {
    "--expires": "--ttl --expiry --expire --expires-in --expires-at --expiration --valid-for --lifetime --end",
    "--to": "--ttl --expiry --expires --expires-in --expires-at --expiration --at",
    "--for": "--ttl --duration",
    "--expires-within": "--expires-in --expires-before --expiring",
    "--unused-for": "--inactive-for --idle-for --not-used-for",
    "--grace": "--grace-period --overlap",
    "--owner": "--user --customer --tenant --account",
    "--scope": "--permission --permissions --role --roles",
    "--env": "--environment",
    "--meta": "--metadata --tag --tags --labels",
    "--set-meta": "--metadata --tag --tags --labels",
    "--name": "--description --label --title",
    "--set-name": "--description --label --title --rename --new-name",
    "--created-since": "--since --created-after --newer-than",
    "--created-before": "--before --until --created-until",
    "--created-by": "--by --creator",
    "--older-than": "--age --min-age",
    "--from": "--key-file --key --keys --file --input --from-file --stdin -f -i",
    "--reason": "--comment --message --note --why",
    "--allow-ip": "--ip --cidr --network --allowlist --whitelist --allowed-ips",
    "--ip": "--address --remote-addr --client-ip",
    "--count": "--number --quantity",
    "--limit": "--max --max-items --page-size --per-page --count -n",
    "--after": "--cursor --page-token --starting-token",
    "--sort": "--order --order-by --sort-by",
    "--reverse": "--desc --descending -r",
    "--all": "--no-limit --no-paginate",
    "--out": "--output -o",
    "--json": "--output --format -o",
    "--format": "--output-format --output -o --csv --tsv --markdown --md --table",
    "--output-format": "--format --csv",
    "--input-format": "--format --csv",
    "--actor": "--user --account --by --who",
    "--columns": "--fields --cols",
    "--jsonl": "--ndjson --json-lines",
    "--force": "--overwrite",
    "--ensure": "--if-not-exists --if-missing --idempotent --exist-ok",
    "--as": "--variable --var --env-var",
    "--exec": "--command --pipe --pipe-to",
    "--yes": "--force --confirm --no-confirm --assume-yes --auto-approve --no-input",
    "--dry-run": "--simulate --noop --no-op --what-if --plan-only",
    "--key-file": "--key --file --input --from-file -f -i",
    "--store": "--db --database --dsn --url --database-url",
    "--admin-token-file": "--admin-token",
    "--exec-timeout": "--timeout",
    "--wait": "--timeout --lock-timeout",
    "--quiet": "--silent -s",
    "--no-color": "--no-colour --plain",
    "--version": "-V",
}
# By command: options that mean something else there, so that no answer is right.
UNANSWERED: dict[str, str] = {
    "bundle export": "--output -o",
    "bundle key": "--output -o",
    "completion": "--output -o",
    "help": "--output -o",
    "mint": "--csv --tsv --markdown --md --table",
    "rotate": "--csv --tsv --markdown --md --table",
    "run": "--timeout",
    "scope": "--permission --permissions --role --roles",
}


def command_lines(group: str, word: str) -> list[str]:
    """Return what to type after `keyctl` for a command that other tools have in this group."""
    return [line for line, words in COMMANDS.get(group, {}).items() if word.lower() in words.split()]


def option_hint(command: str, option: str, known: Iterable[str]) -> str | None:
    """Return the hint for an option that a command does not have. `known` are those that it has."""
    known = list(known)
    if option in UNANSWERED.get(command, "").split():
        return None
    meant = [one for one, words in OPTIONS.items() if one in known and option in words.split()]
    # Beside `--set-name`, which changes names, `--name` is a filter.
    if meant := [one for one in meant if one.replace("--", "--set-", 1) not in meant]:
        return f"use: {' or '.join(meant)}"
    near = near_miss(option.lstrip("-"), [one.removeprefix("--") for one in known if one.startswith("--")])
    return did_you_mean(f"--{near}") if near else None


def did_you_mean(word: str) -> str:
    return f'did you mean "{word}"?'


def near_miss(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` begins, or is a typing error of; None if there is none.

    The first letter of a typing error is right, or has changed places with the second: "lint" is not "mint".
    """
    word, known = word.lower()[:_LONGEST], list(known)
    begun = [one for one in known if len(word) >= 3 and one.startswith(word)]
    if begun:
        return begun[0] if len(begun) == 1 else None
    alike = [one for one in known if word[:1] in one[:2] and one[:1] in word[:2]]
    swapped = [one for one in alike if sorted(one) == sorted(word)]
    if len(swapped) == 1:
        return swapped[0]
    likeness = 0.75 if len(word) == 4 else 0.8  # 0.75 is one wrong letter of four
    near = get_close_matches(word, alike, n=1, cutoff=likeness)
    return near[0] if near else None
