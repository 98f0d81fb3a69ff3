"""The computer that edged runs on: its clock, its service manager, its restart, its log."""
