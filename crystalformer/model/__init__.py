"""The Crystalformer. Reading order:

config.py          hyper-parameters, each with the paper's symbol
images.py          the periodic images within range, once per batch
tiles.py           the same images as padded rectangles, for plain tensor operations
sigma.py           sigma_i: the reach of each atom in each head
truncation.py      what a radius leaves out, and the radius for a tolerance
kernels/           the attention sum: one signature, several implementations
attention.py       infinitely connected attention: a softmax over images
blocks.py          attention and feed-forward with residual connections; initialisation
crystalformer.py   embedding, blocks, mean over atoms, output
official.py        reads the weights of the authors' implementation
"""
