"""How fast, how small and how sparing edged is, each figure beside a named baseline of the same run.

Not tests: nothing here fails for being slow. `python -m benchmarks` prints the table; docs/benchmarks.md explains it.
"""
