"""The Materials Project as of 2018-06-01, with the tasks and splits of Crystalformer's Table 1.

Energies and gaps: the snapshot of MEGNet's authors as JARVIS distributes it, whose order the split goes by.
Moduli: the files that Matformer's authors published, one for each part of the split.
"""

from crystalformer.data.datasets.references import CRYSTALFORMER, MATERIALS_PROJECT, MATFORMER
from crystalformer.data.datasets.row import Dataset, OfficialSplit, Part, SourceFile, Target


def figshare(number: int) -> tuple[str, ...]:
    """Both addresses of a file at figshare."""
    return (
        f"https://ndownloader.figshare.com/files/{number}",
        f"https://figshare.com/ndownloader/files/{number}",
    )


def _moduli(quantity: str, target: str, key: str, crystals: int, numbers: tuple[int, int, int]) -> Part:
    return Part(
        format="pickle",
        files=tuple(
            SourceFile(f"{quantity}_megnet_{label}.pkl", figshare(number), split=label)
            for label, number in zip(("train", "val", "test"), numbers, strict=True)
        ),
        keys={target: key},
        suffix=f"/{quantity}",
        crystals=crystals,
    )


_SHUFFLE = OfficialSplit(
    rule="shuffle",
    counts={"train": 60000, "val": 5000, "test": 4239},
    ends={
        "train": ("mp-569112", "mvc-6917"),
        "val": ("mp-558851", "mp-542332"),
        "test": ("mp-554286", "mp-17481"),
    },
)
_ELASTIC_ENDS = {
    "train": ("mp-10000", "mp-715469"),
    "val": ("mp-10015", "mp-867194"),
    "test": ("mp-1001019", "mp-704419"),
}

ROWS = (
    Dataset(
        name="mp-2018.6.1",
        label="Materials Project 2018-06-01 (MEGNet)",
        targets={
            "formation_energy_per_atom": Target(
                "eV/atom", "Formation energy", mad=0.93, usual=(-5.0, 2.5), crystals=69239
            ),
            "band_gap": Target("eV", "Band gap (PBE)", mad=1.35, usual=(0.0, 10.0), crystals=69239),
            "log10_K_VRH": Target(
                "log10(GPa)", "Bulk modulus (log10 of K_VRH)", usual=(0.5, 2.7), crystals=5450
            ),
            "log10_G_VRH": Target(
                "log10(GPa)", "Shear modulus (log10 of G_VRH)", usual=(0.2, 2.5), crystals=5449
            ),
        },
        crystals=69239,
        parts=(
            Part(
                format="jarvis",
                files=(SourceFile("megnet.json.zip", figshare(26724977)),),
                keys={"formation_energy_per_atom": "e_form", "band_gap": "gap pbe"},
                crystals=69239,
            ),
            _moduli("bulk", "log10_K_VRH", "bulk modulus", 5450, (40258705, 40258675, 40258666)),
            _moduli("shear", "log10_G_VRH", "shear modulus", 5449, (40258681, 40258684, 40258678)),
        ),
        splits={
            "formation_energy_per_atom": _SHUFFLE,
            "band_gap": _SHUFFLE,
            "log10_K_VRH": OfficialSplit(
                rule="files", counts={"train": 4664, "val": 393, "test": 393}, ends=_ELASTIC_ENDS
            ),
            "log10_G_VRH": OfficialSplit(
                rule="files", counts={"train": 4664, "val": 392, "test": 393}, ends=_ELASTIC_ENDS
            ),
        },
        citation=(
            "C. Chen et al., Chemistry of Materials 31 (2019) 3564, doi:10.1021/acs.chemmater.9b01294; "
            f"Materials Project: {MATERIALS_PROJECT}; moduli: {MATFORMER}; splits as in {CRYSTALFORMER}"
        ),
        license="CC BY 4.0 (Materials Project)",
        note=(
            "the crystals with moduli come on top, from files of their own; their ids end in /bulk and "
            "/shear. "
            "MEGNet's own release, mp.2018.6.1.json, is taken as well (--from), unless it lists the crystals "
            "in another order, which the split goes by"
        ),
    ),
)
