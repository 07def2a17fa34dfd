"""From run folders to tables, figures and one offline page: `python -m reports RUN [RUN ...] [--out DIR]`.

A run folder is the only input: nothing is retrained, and neither torch, Ray nor pymatgen is needed. Read in
this order:

1. `run_folder`: one folder, checked; every error recomputed from the stored predictions.
2. `load`, `unrepresented`: several folders as tidy frames; missing seeds, crystals that a model is without.
3. `published`: errors from the literature, under our names of models and targets.
4. `comparison`, `intervals`: is the best model really better, and how far would its error move with other
   crystals?
5. `mae_table`: the one frame behind every table.
6. `rounding`, `table_notes`, `render`, `latex`: that frame as Markdown, CSV and LaTeX.
7. `ablation`: where a search was an ablation, what each change of its reference did.
8. `model_report`: where each model errs, in groups of crystals and crystal by crystal.
9. `sections`: what the page is made of; `contents` lists the sections, each made by a module of its own:
   `error_tables`, `figures` (`error_plot`, `plots`), `model_report`, `ablation`, `search`,
   `protocol`, `failures`, `provenance`.
10. `picture`, `templating`, `html`: pictures, and the sections as one page.
11. `build`: all of it, put in place at once or not at all.

`python -m reports.trace RUN --model M --target T` goes the other way, from a cell back to what it came from:
`trace`, `chain`, `origin`. With `--all` it computes every table again: `recompute`.

`publish` (with `anonymous`) makes of a run folder what is committed, `tables` (`table_files`, `readme`)
builds every committed table again.
"""
