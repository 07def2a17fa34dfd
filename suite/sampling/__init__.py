"""Proposals: the next configuration of one model from the trials it has had.

| file | samplers |
|---|---|
| `propose` | `propose`: a sampler's name -> values; what every sampler is asked by |
| `optuna_samplers` | `tpe`, `random`, `gp`, `nsga-ii`: Optuna's |
| `cma_es` | `cma-es`: replayed from the record, without stored state |
| `quasi_random` | `quasi-random`: a Sobol sequence |
| `grid` | `grid`: every combination, in a fixed order |
| `beliefs` | what priors change in a proposal |
| `unit_cube` | values of a domain as numbers from 0 to 1 |

A proposal is a function of that history, the seed and the trial's number, so a search that is continued
proposes what the uninterrupted one would have proposed, and there is no sampler state to lose. One model's
sampler never sees another model's trials: a model that is better than the rest must not decide what counts as
a good configuration of the others.
"""
