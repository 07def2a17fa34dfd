"""Small layers shared by the Crystalformer and the baselines.

linear.py         linear layers that use all of a CPU's vectors
segments.py       sums and means over contiguous ranges of rows, such as the atoms of a crystal
radial_basis.py   functions of a distance that turn one number into a feature vector
"""
