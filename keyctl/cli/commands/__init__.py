"""The table of commands. Each is a module here, named as it is typed: `owner add` is `owner/add.py`.

A command is imported when it is called; until then this table is all that is known of it.
"""

# By section of `keyctl --help`. A test compares the lines with the commands' own help.
SECTIONS: dict[str, dict[str, str]] = {
    "Set up": {
        "init": "Create a store with the rules of a profile.",
        "profile": "List, show, check and apply profiles.",
        "profile list": "List the built-in profiles.",
        "profile show": "Show a profile: the store's, a built-in one, or a file.",
        "profile check": "Report every fault of a profile at once.",
        "profile apply": "Change the profile of a live store.",
        "config": "Show which store and settings are in force.",
        "config show": "Show what is in force, and where it comes from.",
        "admin-token": "Protect every change with a token.",
        "admin-token set": "Set the token that every change then needs.",
        "admin-token rotate": "Replace the token; the present one is needed.",
        "admin-token clear": "Remove the token; the present one is needed.",
        "db": "Look after the database: its schema, its hashes.",
        "db status": "Show which schema the store has, and which this keyctl needs.",
        "db upgrade": "Bring the schema up to date, in one transaction.",
        "db hash": "Show what keys are hashed with, or set it for keys to come.",
    },
    "Keys": {
        "mint": "Make a key and print it, once.",
        "list": "List keys by their prefixes.",
        "show": "Show one key.",
        "rotate": "Replace a key by a new one.",
        "revoke": "End keys for good.",
        "lock": "Suspend keys, for a time or until unlocked.",
        "unlock": "Lift a lock.",
        "expire": "Set or clear when keys end.",
        "scope": "Add, remove or replace scopes.",
        "update": "Change names, allowed networks and metadata.",
    },
    "Owners": {
        "owner": "Add, list and change owners.",
        "owner add": "Add an owner.",
        "owner list": "List owners.",
        "owner show": "Show one owner.",
        "owner update": "Change an owner; an empty value clears.",
        "owner disable": "Stop an owner's keys and those of all owners below.",
        "owner enable": "Let a disabled owner's keys work again.",
    },
    "Verification": {
        "verify": "Decide whether a key is good for something.",
        "inspect": "Take a key apart without any store.",
        "bundle": "Export signed copies for verification offline.",
        "bundle export": "Write a signed copy of what verification needs.",
        "bundle show": "Check a bundle to the last byte, and tell what it is.",
        "bundle key": "Print the public key that bundles are verified with.",
    },
    "Watch": {
        "audit": "Read and verify the log of changes.",
        "audit list": "List changes, newest first.",
        "audit verify": "Check the whole store against the log.",
    },
}
HELP_LINES = {name: line for lines in SECTIONS.values() for name, line in lines.items()}


def below(group: str) -> dict[str, str]:
    """Return the help lines of a group's commands, by the word that is typed after it; "" is the top level."""
    start = f"{group} " if group else ""
    found = {name.removeprefix(start): line for name, line in HELP_LINES.items() if name.startswith(start)}
    return {word: line for word, line in found.items() if " " not in word}


def module_of(name: str) -> str:
    """Return the module of a command or a group."""
    return f"{__name__}.{name.replace('-', '_').replace(' ', '.')}"
