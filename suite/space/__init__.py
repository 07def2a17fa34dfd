"""The search space: a YAML file -> a checked, immutable `SearchSpace`.

Reading order: `domains` (what a parameter may be), `node` (a value of the file that knows its line, and how
mistakes are said), `yaml_file`, `data_block`, `model_blocks`, `search_space` (the whole), `describe` (the dry
run).
"""
