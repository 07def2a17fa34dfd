"""What models turn elements and edges into before the first message: tables, radial bases, edge layers.

atom_table.py           the 92 element properties of CGCNN, which most models of crystals start from
gaussians.py            one number as a row of Gaussians
bessel.py               spherical Bessel functions of a distance: M3GNet
spherical_harmonics.py  sums over angles between edges as products of sums over edges: M3GNet
edge_linear.py          a linear layer of [v_i ‖ v_j ‖ e_ij], most of it computed per atom
shifted_softplus.py     the activation of SchNet and MEGNet
set2set.py              a set of vectors as one, by attention: the readout of MEGNet
glorot.py               initial weights as Keras draws them
"""
