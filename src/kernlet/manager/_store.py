# SPDX-License-Identifier: Apache-2.0
"""The database of instances: SQLite with a write-ahead log, safe for many commands at once."""

from __future__ import annotations

import os
import sqlite3

from kernlet.errors import KernletError

from ._instance import Instance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION = 1
_BUSY_SECONDS = 10.0
_TEXT = {
    *("id", "name", "image", "command", "runner", "accelerator"),
    *("status", "boot_id", "ports", "network", "error"),
}


class StateError(KernletError):
    """The state folder or its database cannot be used."""


class NameTakenError(KernletError):
    """Another instance has the wanted name."""


def _schema() -> str:
    columns = []
    for field in Instance._fields:
        column = f"{field} {'TEXT' if field in _TEXT else 'INTEGER'}"
        if field == "id":
            column += " PRIMARY KEY"
        elif field == "name":
            column += " UNIQUE"
        columns.append(column if field == "exit_status" else f"{column} NOT NULL")
    return f"CREATE TABLE IF NOT EXISTS instances ({', '.join(columns)})"


class Store:
    """The table of instances in the state folder ``folder``, which is made when it is missing.

    Raises :class:`StateError` for whatever the file system or SQLite refuses.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        path = f"{folder}/kernlet.db"
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - start-up time
            self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._create()
            elif version != _VERSION:
                raise StateError(
                    f"{path} was written by another version of kernlet",
                    hint="remove it when nothing runs, or use that version",
                )
            self._db.execute("PRAGMA synchronous = NORMAL")
        except (OSError, sqlite3.Error) as error:
            raise StateError(
                f"the state in {folder} cannot be used",
                cause=str(error),
                hint="check the folder's owner, or set KERNLET_STATE_DIR",
            ) from None

    def _create(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(_schema())
        self._db.execute(f"PRAGMA user_version = {_VERSION}")
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def insert(self, instance: Instance) -> None:
        """Add a record. Raises :class:`NameTakenError`."""
        marks = ", ".join("?" * len(Instance._fields))
        try:
            self._db.execute(f"INSERT INTO instances VALUES ({marks})", instance)  # noqa: S608
        except sqlite3.IntegrityError:
            raise NameTakenError(
                f"the name {instance.name!r} is taken",
                hint=f"choose another, or remove it: kernlet rm {instance.name}",
            ) from None
        except sqlite3.Error as error:
            raise StateError("the state cannot be written", cause=str(error)) from None

    def update(self, instance_id: str, **columns: str | int | None) -> bool:
        """Change columns of one record; False when it is gone."""
        assignments = ", ".join(f"{name} = ?" for name in columns)
        query = f"UPDATE instances SET {assignments} WHERE id = ?"  # noqa: S608 - own column names
        try:
            return self._db.execute(query, (*columns.values(), instance_id)).rowcount > 0
        except sqlite3.Error as error:
            raise StateError("the state cannot be written", cause=str(error)) from None

    def end(self, instance_id: str, status: str, exit_status: int | None, now_ns: int) -> bool:
        """Record the end, unless it is recorded already; whether it was recorded now."""
        query = (
            "UPDATE instances SET status = ?, exit_status = ?, ended_ns = ? "
            "WHERE id = ? AND status IN ('starting', 'running')"
        )
        return self._db.execute(query, (status, exit_status, now_ns, instance_id)).rowcount > 0

    def delete(self, instance_id: str) -> None:
        """Remove one record; one that is gone is fine."""
        self._db.execute("DELETE FROM instances WHERE id = ?", (instance_id,))

    def all(self) -> list[Instance]:
        """Return every record, the oldest first."""
        return self._select("ORDER BY created_ns, id", ())

    def find(self, text: str) -> list[Instance]:
        """Return the record of that name or id, or else those whose id starts with ``text``."""
        exact = self._select("WHERE name = ? OR id = ?", (text, text))
        if exact or not text.isalnum():
            return exact
        return self._select("WHERE id LIKE ?", (f"{text}%",))

    def _select(self, tail: str, values: Iterable[str]) -> list[Instance]:
        names = ", ".join(Instance._fields)
        try:
            rows = self._db.execute(f"SELECT {names} FROM instances {tail}", tuple(values))  # noqa: S608
            return [Instance(*row) for row in rows]
        except sqlite3.Error as error:
            raise StateError("the state cannot be read", cause=str(error)) from None
