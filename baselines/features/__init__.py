"""What models turn elements and edges into before the first message: tables, radial bases, edge layers.

atom_table.py     the 92 element properties of CGCNN, which most models of crystals start from
gaussians.py      one number as a row of Gaussians
edge_linear.py    a linear layer of [v_i ‖ v_j ‖ e_ij], most of it computed per atom
distinct.py       rows that occur several times, found once
counted_norm.py   batch norm of such rows
messages.py       messages of a batch in blocks that fit into a cache
vector_attention.py    the messages of Matformer, in blocks
gated_messages.py      those of PotNet
"""
