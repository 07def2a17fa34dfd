"""Published files -> `Record`s: the readers of the catalogue, and how its files get here.

Reading order: `texts` (zip, gzip or plain text, and JSON in pieces), `jarvis`, `matbench`, `csv_files`,
`pickles` (the formats), `census` (what the catalogue expects of a file), `read` (a data set), `download` (a
file from elsewhere), `files` (where they are kept, and how they get there).
"""
