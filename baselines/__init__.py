"""Published models of crystal properties, rewritten to one interface: same batches, loop and metric for all.

| file | model | paper |
|---|---|---|
| `cgcnn` | CGCNN | Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018) |

Each file holds one frozen config with the published setting as its defaults and one module; its docstring
gives the formulas and everything that differs from the published code. No model imports another.

Reading order: `graph_cache` (the k nearest neighbours of every atom, computed once per data set),
`graph_batch` (`GraphBatch`: crystals with their edges), then a model.
"""
