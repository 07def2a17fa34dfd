"""JARVIS-DFT 3D of 2021-08-18, with the tasks and splits of Crystalformer's Table 2, and OQMD as JARVIS
distributes it.
"""

from crystalformer.data.datasets.materials_project import figshare
from crystalformer.data.datasets.references import CRYSTALFORMER
from crystalformer.data.datasets.row import Dataset, OfficialSplit, Part, SourceFile, Target

_JARVIS = "K. Choudhary et al., npj Computational Materials 6 (2020) 173, doi:10.1038/s41524-020-00440-1"
_ALL = OfficialSplit(
    rule="shuffle",
    counts={"train": 44578, "val": 5572, "test": 5572},
    ends={
        "train": ("JVASP-21450", "JVASP-28366"),
        "val": ("JVASP-68836", "JVASP-5650"),
        "test": ("JVASP-38636", "JVASP-90134"),
    },
)
_OQMD_ALL = OfficialSplit(
    rule="shuffle",
    counts={"train": 654108, "val": 81763, "test": 81763},
    ends={"train": ("838046", "368371"), "val": ("897017", "764365"), "test": ("820496", "452980")},
    needs=("formation_energy_per_atom", "e_above_hull"),
)

ROWS = (
    Dataset(
        name="jarvis-dft-3d-2021",
        label="JARVIS-DFT 3D (2021)",
        targets={
            "formation_energy_per_atom": Target("eV/atom", "Formation energy", mad=0.86, usual=(-5.0, 5.0)),
            "total_energy_per_atom": Target("eV/atom", "Total energy", mad=1.78, usual=(-12.0, 4.0)),
            "band_gap": Target("eV", "Band gap (OptB88vdW)", mad=0.99, usual=(0.0, 10.0)),
            "band_gap_mbj": Target("eV", "Band gap (TBmBJ)", mad=1.79, usual=(0.0, 15.0), crystals=18172),
            "e_above_hull": Target("eV", "Energy above hull", mad=1.14, usual=(-0.5, 8.0), crystals=55371),
        },
        crystals=55723,
        parts=(
            Part(
                format="jarvis",
                files=(SourceFile("jdft_3d-8-18-2021.json.zip", figshare(29204826)),),
                id_key="jid",
                keys={
                    "formation_energy_per_atom": "formation_energy_peratom",
                    "total_energy_per_atom": "optb88vdw_total_energy",
                    "band_gap": "optb88vdw_bandgap",
                    "band_gap_mbj": "mbj_bandgap",
                    "e_above_hull": "ehull",
                },
                crystals=55723,
            ),
        ),
        splits={
            "formation_energy_per_atom": _ALL,
            "total_energy_per_atom": _ALL,
            "band_gap": _ALL,
            "band_gap_mbj": OfficialSplit(
                rule="shuffle",
                counts={"train": 14537, "val": 1817, "test": 1817},
                ends={
                    "train": ("JVASP-11762", "JVASP-12820"),
                    "val": ("JVASP-59652", "JVASP-10869"),
                    "test": ("JVASP-100464", "JVASP-65765"),
                },
            ),
            "e_above_hull": OfficialSplit(
                rule="shuffle",
                counts={"train": 44296, "val": 5537, "test": 5537},
                ends={
                    "train": ("JVASP-33661", "JVASP-14073"),
                    "val": ("JVASP-101868", "JVASP-118132"),
                    "test": ("JVASP-8413", "JVASP-90134"),
                },
            ),
        },
        citation=f"{_JARVIS}; file: doi:10.6084/m9.figshare.6815699; splits as in {CRYSTALFORMER}",
        license="public domain (NIST)",
        note="some ids come twice; the second is called JVASP-...#2",
    ),
    Dataset(
        name="oqmd",
        label="OQMD (JARVIS)",
        targets={
            "formation_energy_per_atom": Target("eV/atom", "Formation energy", usual=(-5.0, 6.0)),
            "band_gap": Target("eV", "Band gap", usual=(0.0, 8.0)),
            "e_above_hull": Target("eV", "Stability (energy above hull)", usual=(-1.0, 8.0)),
        },
        crystals=817636,
        parts=(
            Part(
                format="jarvis",
                files=(SourceFile("all_oqmd.json.zip", figshare(26790182)),),
                id_key="_oqmd_entry_id",
                keys={
                    "formation_energy_per_atom": "_oqmd_delta_e",
                    "band_gap": "_oqmd_band_gap",
                    "e_above_hull": "_oqmd_stability",
                },
            ),
        ),
        splits={
            "formation_energy_per_atom": _OQMD_ALL,
            "e_above_hull": _OQMD_ALL,
            "band_gap": OfficialSplit(
                rule="shuffle",
                counts={"train": 653388, "val": 81673, "test": 81673},
                ends={
                    "train": ("307903", "932283"),
                    "val": ("719433", "989134"),
                    "test": ("506427", "452988"),
                },
            ),
        },
        citation=(
            "S. Kirklin et al., npj Computational Materials 1 (2015) 15010, "
            f"doi:10.1038/npjcompumats.2015.10; in JARVIS' format: {_JARVIS}, "
            "doi:10.6084/m9.figshare.14206169; splits of Y. Ito et al., CrystalFramer, ICLR 2025"
        ),
        license="CC BY 4.0 (OQMD)",
        note="the largest set: more than 800,000 crystals",
    ),
)
