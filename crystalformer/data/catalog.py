"""`DATASETS`: the data sets known by name. Text only, so that reports can read it without NumPy.

Adding a data set is adding a row, see `crystalformer.data.datasets`. A data set given by path needs no row.
"""

from crystalformer.data.datasets import bundled, cdvae, jarvis, matbench, materials_project
from crystalformer.data.datasets.row import Dataset, Target

__all__ = ["DATASETS", "Dataset", "Target"]

_ROWS = (*bundled.ROWS, *materials_project.ROWS, *jarvis.ROWS, *matbench.ROWS, *cdvae.ROWS)

DATASETS: dict[str, Dataset] = {row.name: row for row in _ROWS}
