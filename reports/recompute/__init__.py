"""Every measured cell of a report's tables, computed again from the run folders by formulas of its own.

`stored` reads what the tables were made of; `mae`, `groups`, `pairs` and `ablation` recompute one table each,
without the code that made it; `tables` goes through the tables of a report.
"""
