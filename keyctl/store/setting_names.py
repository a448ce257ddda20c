"""The names of a store's settings. Read without SQLAlchemy too, so this imports nothing of the databases."""

from __future__ import annotations

from enum import StrEnum


class SettingName(StrEnum):
    """The settings that a store can have. The values are stored: add to them, and never change one."""

    STORE_ID = "store_id"
    CREATED_AT = "created_at"
    PROFILE = "profile"  # JSON, as in a profile's file
    HASH = "hash"  # JSON: the parameters of new hashes
    EARLIER_FORMATS = "earlier_formats"  # JSON: formats of keys that earlier profiles minted
    FOREIGN_HASHES = "foreign_hashes"  # JSON: the schemes of imported hashes
    ADMIN_TOKEN = "admin_token"  # noqa: S105 - the setting's name; its value is a PHC string
    ADMIN_TOKEN_REFUSALS = "admin_token_refusals"  # JSON: by user, how many in a row, and when  # noqa: S105
    READER_GROUP = "reader_group"  # of the operating system: it may read the SQLite file
    BUNDLE_SEQUENCE = "bundle_sequence"  # of the newest bundle
    BUNDLE_VALID_UNTIL = "bundle_valid_until"  # the latest of all bundles
