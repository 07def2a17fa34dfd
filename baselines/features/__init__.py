"""What models turn elements and edges into before the first message: tables, radial bases, edge layers.

atom_table.py     the 92 element properties of CGCNN, which most models of crystals start from
gaussians.py      one number as a row of Gaussians
batch_norm.py     batch norm that takes a batch of one atom
edge_gates.py     gated means over edges or pairs of edges, with little kept for the backward pass
edge_linear.py    a linear layer of [v_i ‖ v_j ‖ e_ij], most of it computed per atom
norm_silu.py      batch norm and SiLU in one, with little kept for the backward pass
"""
