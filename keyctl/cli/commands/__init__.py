"""The table of commands. Each is a module here, named as it is typed: `owner add` is `owner/add.py`.

A command is imported only when it is called; help and completion read this table instead.
"""

from keyword import iskeyword

# By section of `keyctl --help`. A test compares the lines with the commands' own help.
SECTIONS: dict[str, dict[str, str]] = {
    "Set up": {
        "init": "Create a store from a profile.",
        "profile": "List, show, check and apply profiles.",
        "profile list": "List the built-in profiles.",
        "profile show": "Show the store's profile, a built-in one, or a file.",
        "profile check": "Check a profile and report every error.",
        "profile apply": "Replace the profile of an existing store.",
        "config": "Show the settings in use, and choose the store.",
        "config show": "Show the settings in use and where each comes from.",
        "config list": "List the stores that have names, and which one is in use.",
        "config use": "Set the store that commands use from now on.",
        "config add": "Add a name for a store, for --store and config use.",
        "config remove": "Remove the name of a store; the store itself stays.",
        "doctor": "Check the store, its files and this machine.",
        "admin-token": "Require a token for every change.",
        "admin-token set": "Set the token that every change then requires.",
        "admin-token rotate": "Replace the token; requires the current one.",
        "admin-token clear": "Remove the token; requires the current one.",
        "db": "Check, upgrade and configure the database.",
        "db status": "Show the schema of the store and the one this keyctl needs.",
        "db upgrade": "Upgrade the schema in one transaction.",
        "db hash": "Show or set the hash scheme for new keys.",
        "db pepper": "Add a new pepper to a file, and print its id.",
        "db roles": "Print SQL for PostgreSQL roles that administer, verify or record use.",
        "db backup": "Write a verified backup of the store into one file.",
        "db restore": "Restore a store from a backup; what was revoked stays revoked.",
        "db copy": "Copy the store to another database: all of it, or nothing.",
    },
    "Keys": {
        "mint": "Create a key and print it once.",
        "list": "List and filter keys.",
        "show": "Show one key.",
        "rotate": "Replace keys with new ones.",
        "revoke": "Revoke keys permanently.",
        "lock": "Suspend keys for a time, or until they are unlocked.",
        "unlock": "Unlock keys.",
        "expire": "Set or remove the expiry of keys.",
        "scope": "Add, remove or replace the scopes of keys.",
        "update": "Change the name, allowed networks and metadata of keys.",
        "prune": "Remove keys that ended long ago, and keep their history.",
        "apply": "Change owners and keys to what a file describes.",
        "import": "Import keys of another program or store, with their hashes.",
        "export": "Export keys with their hashes, for an import.",
    },
    "Owners": {
        "owner": "Add, list and change owners.",
        "owner add": "Add an owner.",
        "owner list": "List owners.",
        "owner show": "Show one owner.",
        "owner update": "Change an owner; an empty value clears a field.",
        "owner disable": "Disable an owner and every owner below; their keys are refused.",
        "owner enable": "Enable a disabled owner; its keys work again.",
    },
    "Use": {
        "run": "Run a command with a new key, and revoke the key when it ends.",
    },
    "Verification": {
        "verify": "Verify a key and its permissions.",
        "inspect": "Decode a key, also without a store.",
        "limits": "Show what is used up of the rate limits of a key.",
        "bundle": "Export signed bundles for offline verification.",
        "bundle export": "Write a signed bundle of what verification needs.",
        "bundle show": "Check a bundle's signature and content, and describe it.",
        "bundle key": "Print the public key that verifies bundles.",
    },
    "Audit": {
        "audit": "List changes and verify the store against them.",
        "audit list": "List changes, newest first.",
        "audit verify": "Verify the store against the audit log.",
        "audit checkpoint": "Verify the store, and print a signed checkpoint of its log.",
        "scan": "Find keys of this store in files, Git history and streams.",
        "usage": "Show how often keys are used, and who records it.",
        "usage show": "Show how often keys are used; the default.",
        "usage import": "Count the use that recorders wrote to files.",
        "usage recorders": "List the recorders, and when each last reported.",
        "report": "Show what to rotate, revoke or look at.",
    },
    "Help": {
        "help": "Show the help of a command, or a topic.",
        "version": "Print the version.",
        "completion": "Print or install shell completion.",
    },
}
# The command of a group that is meant where none is named.
DEFAULTS = {"usage": "show"}
HELP_LINES = {name: line for lines in SECTIONS.values() for name, line in lines.items()}


def below(group: str) -> dict[str, str]:
    """Return the help lines of a group's commands, by the word that is typed after it; "" is the top level."""
    start = f"{group} " if group else ""
    found = {name.removeprefix(start): line for name, line in HELP_LINES.items() if name.startswith(start)}
    return {word: line for word, line in found.items() if " " not in word}


def module_of(name: str) -> str:
    """Return the module of a command or a group."""
    module = f"{__name__}.{name.replace('-', '_').replace(' ', '.')}"
    return f"{module}_" if iskeyword(module.rpartition(".")[2]) else module
