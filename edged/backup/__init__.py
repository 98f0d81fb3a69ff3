"""Backups: everything that a new controller needs in one file, and the way back.

Owns the archive's format, what belongs into it, and the order in which files are put back. Refuses to know a running
daemon: whoever calls has asked it for a copy of its database, or has made sure that there is none.

Invariants: an archive is whole or not there · what is read from one was judged before anything was touched · what is
replaced is set aside, never deleted · a restore that was cut off starts nothing half: it is finished or begun again.

EdgedError
  BackupError      there is nothing to make a backup of, or it cannot be kept
  ArchiveError     the file is no backup, or not one that may be put back
  RestoreError     it cannot be put back here; nothing, or everything, has happened
"""
