"""The Crystalformer. Reading order:

config.py          hyper-parameters, each with the paper's symbol
images.py          the periodic images within range, once per batch
tiles.py           the same images as padded rectangles, for plain tensor operations
waves.py           the plane waves within range, for attention in reciprocal space
frames.py          three axes for each atom and head, from its attention weights (CrystalFramer)
geometry.py        images, directions and waves of a batch, shared by all blocks; what a batch must be
sigma.py           sigma_i: the reach of each atom in each head
truncation.py      what a radius leaves out, and the radius for a tolerance
kernels/           the attention sum: one signature, several implementations
attention.py       infinitely connected attention: a softmax over images
reciprocal.py      the same sum in reciprocal space, in all heads or in half of them
angles.py          attention whose values see directions (CrystalFramer)
blocks.py          attention and feed-forward with residual connections; initialisation
crystalformer.py   embedding, blocks, mean over atoms, output
official.py        predictions from the weights of the authors' implementation
"""
