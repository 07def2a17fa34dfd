"""What models turn elements and edges into before the first message: tables, radial bases, edge layers.

atom_table.py        the 92 element properties of CGCNN, which most models of crystals start from
gaussians.py         one number as a row of Gaussians
edge_linear.py       a linear layer of [v_i ‖ v_j ‖ e_ij], most of it computed per atom
shifted_softplus.py  the activation of SchNet and MEGNet
set2set.py           a set of vectors as one, by attention: the readout of MEGNet
glorot.py            initial weights as Keras draws them
"""
