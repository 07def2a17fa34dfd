"""Structures and tables from elsewhere -> `Crystal`s -> an array store. pymatgen is imported here only.

Reading order: `records` (one row of a source), `structures` (its structure as a `Crystal`), `tables`
(CSV, JSON and folders of CIF files), `bundled` (the data sets in the repository, written by `bundle`),
`published/` (the other data sets of the catalogue), `convert` (the command that prepares a data set),
`descriptions` (formulas and space groups, for reports).
"""
