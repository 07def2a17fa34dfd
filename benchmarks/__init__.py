"""Measurements of speed: `python -m benchmarks.step`, and pytest-benchmark in `pytest benchmarks`."""
