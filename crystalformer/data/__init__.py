"""Crystals as flat arrays: what every model, baseline and report reads. NumPy only, but for `batch`.

Reading order: `crystal` (one structure in memory), `catalog` and `datasets/` (the data sets known by name),
`manifest` and `array_store` (a data set on disk), `splits` and `official` (train, validation and test ids),
`targets` (scaling by training statistics), `loader` (which crystals form a step), `batch`
(a step as PyTorch tensors).
"""
