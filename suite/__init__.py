"""Search and comparison: from a YAML file to trained models and a record of everything between.

Reading order: `space/` (what is searched), `models` (the registry), `prepare` (data and splits), `trial` (one
training run), `ledger` (the record of a search, and who is next), `sampling` (proposals), `ray_driver/` (who
carries it out), `final` (retrained models; the test split), `floors` (what stands beside them), `experiment`
(the folder), `crystals` (what reports say of the crystals), `stages` (the order of things), `search` (the
command line).
"""
