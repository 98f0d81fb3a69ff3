"""The numbered schemas. A migration that has been released is never edited; a new one is added behind it.

Why so few tables: with WAL every page that a commit touches is written whole (4 kB), and an SD card has only so many
of them. All facts of a station lie together in one clustered tree, so that what changes together is one page.
A fact's columns are its JSON: once a version is released, a new field is a migration without statements, for an older
edged would take the field for damage instead of refusing; a changed meaning is one that rewrites. The form of the
present version is tools/kept_facts.txt; `make check` holds us to it.
"""

from __future__ import annotations

Migration = tuple[str, ...]

MIGRATIONS: tuple[Migration, ...] = (
    # 1
    (
        """CREATE TABLE facts (
            station TEXT NOT NULL,
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (station, kind, key)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE outbox (
            station TEXT NOT NULL,
            lane TEXT NOT NULL,
            seq INTEGER NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (station, lane, seq)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE parked (
            number INTEGER PRIMARY KEY,
            station TEXT NOT NULL,
            source TEXT NOT NULL,
            key TEXT NOT NULL,
            reason TEXT NOT NULL,
            at TEXT NOT NULL,
            value TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE replies (
            number INTEGER PRIMARY KEY,
            actor TEXT NOT NULL,
            command TEXT NOT NULL,
            id TEXT NOT NULL,
            at TEXT NOT NULL,
            payload TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE gateway (
            name TEXT NOT NULL PRIMARY KEY,
            value TEXT NOT NULL
        ) STRICT, WITHOUT ROWID""",
    ),
    # 2: what is only ever added to and read by people; clustered, so that one more entry is one page
    (
        """CREATE TABLE journal (
            station TEXT NOT NULL,
            kind TEXT NOT NULL,
            number INTEGER NOT NULL,
            at TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (station, kind, number)
        ) STRICT, WITHOUT ROWID""",
    ),
    # 3: what local watchers are told, in order; a new event is at the end of the last page
    (
        """CREATE TABLE events (
            seq INTEGER PRIMARY KEY,
            at TEXT NOT NULL,
            rank INTEGER NOT NULL,
            value TEXT NOT NULL
        ) STRICT""",
    ),
    # 4: rows may lie short (`brief.ROWS`)
    (),
)
"""Statements that take a database from version N to N+1, in order; version 0 is an empty file."""
