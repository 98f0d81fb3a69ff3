"""The pure core: facts, events and the rules that turn one into the other.

Nothing in here reads a clock, waits, talks, logs, or knows an OCPP version, a register or a topic.
"""
