"""Measurements of speed: `python -m benchmarks.step`, `benchmarks.lists`, `pytest benchmarks`."""
