"""Hyper-parameter search over crystal models: the command lines, the search spaces and the trials.

Reading order: `models` (the registry), `domains` and `space` (what is searched), `describe` (what a
dry run prints), then the trial, the drivers and the command lines built on them. A search space is
read in four steps: `space_yaml` (text to nodes with lines), `space_data` and `space_models` (the two
large blocks), `space` (the whole).
"""
