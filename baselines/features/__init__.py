"""What models turn elements and edges into before the first message, and messages that several models send.

| file | what |
|---|---|
| `atom_table` | the 92 element properties of CGCNN, which most models of crystals start from |
| `gaussians` | one number as a row of Gaussians |
| `bessel` | spherical Bessel functions of a distance: M3GNet |
| `spherical_harmonics` | sums over angles between edges as products of sums over edges: M3GNet |
| `edge_linear` | a linear layer of [v_i ‖ v_j ‖ e_ij], most of it computed per atom |
| `edge_gates` | gated means over edges or pairs of edges, with little kept for the backward pass |
| `norm_silu` | batch norm and SiLU in one, with little kept for the backward pass |
| `distinct` | rows that occur several times, found once |
| `counted_norm` | batch norm of rows that may stand for several, or be one |
| `messages` | messages of a batch in blocks that fit into a cache |
| `vector_attention` | the messages of Matformer, in blocks |
| `gated_messages` | those of PotNet |
| `channel_attention` | those of ComFormer |
| `comformer_conv` | its convolution |
| `tensor_products` | products with spherical harmonics: eComFormer |
| `shifted_softplus` | the activation of SchNet and MEGNet |
| `set2set` | a set of vectors as one, by attention: the readout of MEGNet |
| `glorot` | initial weights as Keras draws them |
| `recipes` | the recipe that ALIGNN, Matformer, PotNet and ComFormer share |
"""
