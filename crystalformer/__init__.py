"""Crystalformer: predicts properties of crystals by infinitely connected attention.

Taniai et al., "Crystalformer: Infinitely Connected Attention for Periodic Structure Encoding",
ICLR 2024 (arXiv 2403.11686). Every atom of the unit cell attends to all periodic images of all atoms.

Reading order for the model:
    model/config.py         the hyper-parameters with the paper's symbols
    model/images.py         which periodic images an atom attends to, and their distances
    model/attention.py      the attention itself
    model/sigma.py          how fast it decays with distance
    model/blocks.py, model/crystalformer.py
                            the network around it

Beside the model:
    data/       crystals as flat arrays, batches, splits, target scaling
    sources/    structure files and published snapshots, converted to those arrays
    layers/     small pieces shared with the baselines: segment sums, radial bases
    training/   the training loop; it receives a built module and never learns its name
    metrics.py  mean absolute error and its companions

`sources`, `model` and `training` do not import one another; neither do `layers`, `metrics` and `data`.
"""
