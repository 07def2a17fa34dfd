"""Graphs of crystals: which atoms exchange messages, found once per data set and shared by all models.

| file | what |
|---|---|
| `rule` | `EdgeRule`: settings that turn one crystal into edges; `Unrepresentable` where they cannot |
| `radius` | all neighbours within a radius |
| `nearest` | exactly k nearest, padded: CGCNN, GATGNN |
| `shells` | the nearest k and all ties, in both directions: ALIGNN, Matformer, PotNet, ComFormer |
| `lattice_shells` | these, and edges along three vectors of the lattice: ComFormer |
| `edge_lists` | the edges of a whole data set, built once in parallel, then read memory-mapped |
| `batch` | `GraphBatch`: the crystals of one step with their edges |
| `adjacency` | pairs of edges that share an atom: angles and line graphs |
"""
