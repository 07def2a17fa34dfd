"""Graphs of crystals: which atoms exchange messages, found once per data set and shared by all models.

| file | what |
|---|---|
| `rule` | `EdgeRule`: settings that turn one crystal into edges; `Unrepresentable` where they cannot |
| `config_checks` | what the settings of several rules and models must be |
| `radius` | all neighbours within a radius |
| `nearest` | exactly k nearest, padded: CGCNN, GATGNN |
| `shells` | the nearest k and all ties, in both directions: ALIGNN, Matformer, PotNet, ComFormer |
| `lattice_edges` | the shells with edges of each atom to its own images along the cell: Matformer |
| `lattice_sums` | Coulomb, London and Pauli potentials summed over all images |
| `pair_potentials` | these sums for all pairs of atoms of a data set, cached as the edges are: PotNet |
| `chunks` | work on a data set shared by processes |
| `lattice_shells` | these, and edges along three vectors of the lattice: ComFormer |
| `edge_lists` | the edges of a whole data set, built once in parallel, then read memory-mapped |
| `batch` | `GraphBatch`: the crystals of one step with their edges |
| `batch_checks` | what a batch must be for a model to read it |
| `potential_batch` | `PotentialBatch`: one with the potentials of all pairs, too |
| `adjacency` | the reverse of each edge: ALIGNN |
| `line_graph` | all pairs of an edge in and an edge out, as one matrix per atom: ALIGNN |
| `edge_tile` | the edges of a batch with the methods of a line graph's tiles |
"""
