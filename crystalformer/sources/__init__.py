"""Structures and tables from elsewhere -> `Crystal`s -> an array store. pymatgen is imported here only.

Reading order: `records` (a row of a source, or why it cannot be used), `columns` (what a table's columns
mean), `tables` and its readers (`csv_table`, `json_table`, `parquet_table`, `extxyz_table`, `ase_table`),
`structures` (a row's structure as a `Crystal`, with `cells`, `sites` and `plausible`), `parallel` and
`worker` (many of them at a time), `published/` (the data sets of the catalogue), `bundled` (those in the
repository, written by `bundle`), `find` (a name or path -> its source), `convert` (all of it, once),
`rejections` (the report), `descriptions` (formula and space group of stored crystals, for reports).
"""
