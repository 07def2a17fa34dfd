"""`DATASETS`: the data sets known by name. Text only, so that reports can read it without NumPy.

Adding a data set is adding a row. A data set given by path needs no row.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One property: its unit and how tables and axes call it."""

    unit: str
    label: str


@dataclass(frozen=True)
class Dataset:
    """One data set.

    `source_file` lies in `crystalformer/data/bundled` and has the SHA-256 `source_sha256`; `origin` is
    the file of JSON lines it was made from. `official_split` says whether the crystals carry the labels
    of a published split. `citation` and `license` go into every report.
    """

    name: str
    label: str
    source_file: str
    source_sha256: str
    origin: str
    targets: dict[str, Target]
    official_split: bool
    crystals: int
    citation: str
    license: str


MATERIALS_PROJECT = "A. Jain et al., APL Materials 1 (2013) 011002, doi:10.1063/1.4812323"
MATMINER = (
    "L. Ward et al., Computational Materials Science 152 (2018) 60, doi:10.1016/j.commatsci.2018.05.018"
)

_ROWS = (
    Dataset(
        name="mp-elastic-2015",
        label="Materials Project, elastic moduli (2015)",
        source_file="mp-elastic-2015.npz",
        source_sha256="a5be996ac132f685f18de297ca387741faac4b20b3ce7d19d9679b2dc4ce03dd",
        origin="matminer_elastic_tensor_2015.jsonl.gz",
        targets={
            "log10_K_VRH": Target(unit="log10(GPa)", label="Bulk modulus (log10 of K_VRH)"),
            "log10_G_VRH": Target(unit="log10(GPa)", label="Shear modulus (log10 of G_VRH)"),
        },
        official_split=False,
        crystals=1181,
        citation=(
            "M. de Jong et al., Scientific Data 2 (2015) 150009, doi:10.1038/sdata.2015.9; "
            f"Materials Project: {MATERIALS_PROJECT}; distributed with matminer: {MATMINER}"
        ),
        license="CC BY 4.0",
    ),
    Dataset(
        name="mp-formation-2015",
        label="Materials Project, formation energies (2015)",
        source_file="mp-formation-2015.npz",
        source_sha256="ee8507a45bb5b37135f43285cf5d15ad324bd6c737c5bbd2d77274545936bd7a",
        origin="matminer_flla_2015.jsonl.gz",
        targets={"formation_energy_per_atom": Target(unit="eV/atom", label="Formation energy")},
        official_split=False,
        crystals=3938,
        citation=(
            "F. Faber et al., International Journal of Quantum Chemistry 115 (2015) 1094, "
            "doi:10.1002/qua.24917; "
            f"Materials Project: {MATERIALS_PROJECT}; distributed with matminer: {MATMINER}"
        ),
        license="CC BY 4.0",
    ),
)

DATASETS: dict[str, Dataset] = {row.name: row for row in _ROWS}
