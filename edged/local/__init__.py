"""The control socket, both ends: how a person on this computer talks to the daemon (contract: the command line)."""
