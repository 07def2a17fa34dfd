"""The three sets of CDVAE (Xie et al., ICLR 2022), in a file for each part of their split."""

from crystalformer.data.datasets.references import MATERIALS_PROJECT
from crystalformer.data.datasets.row import Dataset, OfficialSplit, Part, SourceFile, Target

_CDVAE = "T. Xie et al., Crystal Diffusion Variational Autoencoder, ICLR 2022, arXiv:2110.06197"


def _files(folder: str, sha256: tuple[str | None, ...] = (None, None, None)) -> tuple[SourceFile, ...]:
    return tuple(
        SourceFile(
            f"{folder}_{label}.csv",
            (
                f"https://raw.githubusercontent.com/txie-93/cdvae/main/data/{folder}/{label}.csv",
                f"https://github.com/txie-93/cdvae/raw/main/data/{folder}/{label}.csv",
            ),
            sha256=digest,
            split=label,
        )
        for label, digest in zip(("train", "val", "test"), sha256, strict=True)
    )


_PEROV = OfficialSplit(rule="files", counts={"train": 11356, "val": 3787, "test": 3785})
_MP20 = OfficialSplit(rule="files", counts={"train": 27136, "val": 9047, "test": 9046})

ROWS = (
    Dataset(
        name="perov-5",
        label="Perov-5 (CDVAE)",
        targets={
            "heat_ref": Target("eV", "Heat of formation (reference states)", usual=(-1.5, 5.0)),
            "heat_all": Target("eV", "Heat of formation (all competing phases)", usual=(-1.5, 5.0)),
            "dir_gap": Target("eV", "Direct band gap", usual=(0.0, 8.0)),
            "ind_gap": Target("eV", "Indirect band gap", usual=(0.0, 8.0)),
        },
        crystals=18928,
        parts=(
            Part(
                format="csv",
                files=_files("perov_5"),
                id_key="material_id",
                keys={name: name for name in ("heat_ref", "heat_all", "dir_gap", "ind_gap")},
                crystals=18928,
            ),
        ),
        splits=dict.fromkeys(("heat_ref", "heat_all", "dir_gap", "ind_gap"), _PEROV),
        citation=(
            "I. Castelli et al., Energy & Environmental Science 5 (2012) 5814, doi:10.1039/C1EE02717D and "
            f"9034, doi:10.1039/C2EE22341D; {_CDVAE}"
        ),
        license="MIT (repository of CDVAE)",
    ),
    Dataset(
        name="carbon-24",
        label="Carbon-24 (CDVAE)",
        targets={"energy_per_atom": Target("eV/atom", "Energy", usual=(-400.0, 0.0))},
        crystals=10153,
        parts=(
            Part(
                format="csv",
                files=_files("carbon_24"),
                id_key="material_id",
                keys={"energy_per_atom": "energy_per_atom"},
                crystals=10153,
            ),
        ),
        splits={"energy_per_atom": OfficialSplit(rule="files")},
        citation=(
            "C. Pickard, AIRSS data for carbon, Materials Cloud (2020), "
            f"doi:10.24435/materialscloud:2020.0026/v1; {_CDVAE}"
        ),
        license="CC BY 4.0 (Materials Cloud); MIT (repository of CDVAE)",
    ),
    Dataset(
        name="mp-20",
        label="MP-20 (CDVAE)",
        targets={
            "formation_energy_per_atom": Target("eV/atom", "Formation energy", usual=(-5.0, 2.5)),
            "band_gap": Target("eV", "Band gap (PBE)", usual=(0.0, 10.0)),
            "e_above_hull": Target("eV/atom", "Energy above hull", usual=(-0.01, 0.1)),
        },
        crystals=45229,
        parts=(
            Part(
                format="csv",
                files=_files(
                    "mp_20",
                    (
                        "133bab58dba02d316f9f91174839f17802dce648be4e8659d1a42b32b97fa01d",
                        "7b5f4085464b3eac9fd2123acee97ec372214004ce7e983b535b33395abc3e29",
                        "dd605c7543cf95a13e150aed630d0915e74edc8dea17e85301ee6fbfeb7f500a",
                    ),
                ),
                id_key="material_id",
                keys={name: name for name in ("formation_energy_per_atom", "band_gap", "e_above_hull")},
                crystals=45229,
            ),
        ),
        splits=dict.fromkeys(("formation_energy_per_atom", "band_gap", "e_above_hull"), _MP20),
        citation=f"Materials Project: {MATERIALS_PROJECT}; {_CDVAE}",
        license="CC BY 4.0 (Materials Project); MIT (repository of CDVAE)",
    ),
)
