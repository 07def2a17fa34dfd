"""Launch files for clusters: `python -m suite.cluster slurm|kuberay|ray-up --space F --nodes N --gpus G`.

`launch` turns the settings of a launch into a file by one of the `templates`; what runs there is the same
`python -m suite.search`, with the same search space. See docs/cluster.md.
"""
