"""The two data sets that come with the package."""

from crystalformer.data.datasets.references import MATERIALS_PROJECT, MATMINER
from crystalformer.data.datasets.row import Bundle, Dataset, Target

ROWS = (
    Dataset(
        name="mp-elastic-2015",
        label="Materials Project, elastic moduli (2015)",
        bundle=Bundle(
            file="mp-elastic-2015.npz",
            sha256="a5be996ac132f685f18de297ca387741faac4b20b3ce7d19d9679b2dc4ce03dd",
            origin="matminer_elastic_tensor_2015.jsonl.gz",
        ),
        targets={
            "log10_K_VRH": Target("log10(GPa)", "Bulk modulus (log10 of K_VRH)", usual=(0.5, 2.7)),
            "log10_G_VRH": Target("log10(GPa)", "Shear modulus (log10 of G_VRH)", usual=(0.2, 2.5)),
        },
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
        bundle=Bundle(
            file="mp-formation-2015.npz",
            sha256="ee8507a45bb5b37135f43285cf5d15ad324bd6c737c5bbd2d77274545936bd7a",
            origin="matminer_flla_2015.jsonl.gz",
        ),
        targets={"formation_energy_per_atom": Target("eV/atom", "Formation energy", usual=(-5.0, 2.5))},
        crystals=3938,
        citation=(
            "F. Faber et al., International Journal of Quantum Chemistry 115 (2015) 1094, "
            "doi:10.1002/qua.24917; "
            f"Materials Project: {MATERIALS_PROJECT}; distributed with matminer: {MATMINER}"
        ),
        license="CC BY 4.0",
    ),
)
