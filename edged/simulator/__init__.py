"""Chargers with a physical model behind real Modbus lines, and a small CSMS: a second witness for tests and the demo.

Knows nothing of edged's own register profiles and drivers: what the makes' registers mean is written here a second
time, from the documents, so that a mistake on one side shows on the other.
"""
