"""What leaves a finished run: a model as a folder, and files for other people's leaderboards.

`card` and `discovery` describe a model to readers and in matbench-discovery's form; `matbench` and `jarvis`
make submission files; `ensembles` gives them the test predictions of a run. The command is `suite.export`.
"""
