"""What an ablation found: which change of the reference moved the validation error, by how much, how surely.

1. `study`: one model and target of an ablation's trials, with the values that its space names.
2. `effects`: the paired difference of each change over the seeds, with interval and corrected p.
3. `terms`: factors and their values in words, with units.
4. `words`, `tables`, `plot`: the same effects as a page of text, as tables, and as a figure.
"""
