"""A data set like the published ones, small and made up, with rows in the catalogue and files to copy."""

import random
from pathlib import Path

from published_files import jarvis_atoms, write_moduli, write_zip

from crystalformer.data.datasets.row import Dataset, OfficialSplit, Part, SourceFile, Target

CRYSTALS = 40
IDS = [f"mu-{row}" for row in range(CRYSTALS)]
ENERGIES = {id_: round(-3 + 0.1 * row, 3) for row, id_ in enumerate(IDS)}
MODULI = {"train": {"mu-1": 1.5, "mu-3": 1.75}, "val": {"mu-2": 2.0}, "test": {"mu-4": 2.25}}


def shuffled() -> list[str]:
    ids = list(IDS)
    random.seed(123)
    random.shuffle(ids)
    return ids


def made_up_set(url: str = "http://127.0.0.1:9") -> Dataset:
    """Energies of 40 crystals, split by a shuffle into 30 / 5 / 5, and moduli in three pickles."""
    ids = shuffled()
    energies = SourceFile("made_up.json.zip", (f"{url}/ok/made_up.json.zip",))
    moduli = tuple(
        SourceFile(f"moduli_{label}.pkl", (f"{url}/ok/moduli_{label}.pkl",), split=label) for label in MODULI
    )
    return Dataset(
        name="made-up",
        label="Made up",
        targets={
            "energy": Target("eV/atom", "Energy", mad=1.0, usual=(-4.0, 2.0), crystals=CRYSTALS),
            "log10_K": Target("log10(GPa)", "Bulk modulus", usual=(0.0, 3.0), crystals=4),
        },
        crystals=CRYSTALS,
        citation="nobody",
        license="none",
        parts=(
            Part("jarvis", (energies,), {"energy": "e_form"}, crystals=CRYSTALS),
            Part("pickle", moduli, {"log10_K": "K"}, suffix="/bulk", crystals=4),
        ),
        splits={
            "energy": OfficialSplit(
                "shuffle",
                {"train": 30, "val": 5, "test": 5},
                ends={"train": (ids[0], ids[29]), "val": (ids[30], ids[34]), "test": (ids[35], ids[39])},
            ),
            "log10_K": OfficialSplit(
                "files", {"train": 2, "val": 1, "test": 1}, ends={"train": ("mu-1", "mu-3")}
            ),
        },
    )


def write_energies(folder: Path, values: dict[str, float] | None = None) -> Path:
    """The file of the energies, or of other values or ids."""
    entries = [
        {"id": id_, "e_form": value, "atoms": jarvis_atoms(row)}
        for row, (id_, value) in enumerate((ENERGIES if values is None else values).items())
    ]
    return write_zip(folder / "made_up.json.zip", entries)


def write_files(folder: Path) -> Path:
    """All four files."""
    folder.mkdir(exist_ok=True)
    write_energies(folder)
    for label, values in MODULI.items():
        write_moduli(folder / f"moduli_{label}.pkl", "K", values)
    return folder
