"""What a search did: what it tried, and what became of it.

1. `trials`: the values that were tried, and the trials one by one.
2. `page`: the section of the report.
"""
