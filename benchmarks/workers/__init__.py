"""Programs that benchmarks run in separate processes: the engine's side and upstream's.

Only numpy and `trackastra` are imported on upstream's side, which runs in its own environment.
"""
