"""What models turn elements and edges into before the first message: tables, radial bases, edge layers.

atom_table.py     the 92 element properties of CGCNN, which most models of crystals start from
gaussians.py      one number as a row of Gaussians
edge_linear.py    a linear layer of [v_i ‖ v_j ‖ e_ij], most of it computed per atom
distinct.py       rows that occur several times, to compute what depends on them once
counted_norm.py   batch norm of such rows
gated_messages.py the attention of ComFormer, with a backward that keeps little
comformer_conv.py the convolution of ComFormer
tensor_products.py products with spherical harmonics: eComFormer
"""
