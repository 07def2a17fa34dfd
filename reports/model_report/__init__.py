"""Where each model errs: by size, elements, symmetry and range of the target, and its worst crystals.

1. `per_crystal`: the predictions of one model of the table, a row per crystal, with what the run folder says
   of the crystals.
2. `groups`, `group_errors`: the crystals in groups, and a model's error in each.
3. `pairs`: two models on the same crystals, the same architecture in two runs above all.
4. `parity`, `breakdown`, `pair_plot`, `periodic`: the pictures; `tables`, `words`: the same as tables, CSV
   and sentences.
5. `page`: the section of the report.
"""
