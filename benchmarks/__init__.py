"""Measurements of speed: `python -m benchmarks.step`, `.lists`, and pytest-benchmark in `pytest benchmarks`."""
