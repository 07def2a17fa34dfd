"""The rows of the catalogue: what is known of each data set. Text only.

`row` says what a row holds; each other module has the rows of one source.
"""
