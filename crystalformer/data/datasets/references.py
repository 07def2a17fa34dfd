"""Citations that several rows share."""

MATERIALS_PROJECT = "A. Jain et al., APL Materials 1 (2013) 011002, doi:10.1063/1.4812323"
MATMINER = (
    "L. Ward et al., Computational Materials Science 152 (2018) 60, doi:10.1016/j.commatsci.2018.05.018"
)
MATFORMER = (
    "K. Yan et al., Periodic Graph Transformers for Crystal Material Property Prediction, NeurIPS 2022"
)
CRYSTALFORMER = "T. Taniai et al., Crystalformer, ICLR 2024, arXiv:2403.11686"
