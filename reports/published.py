"""Errors from the literature, under our names of models and targets.

`published.csv` holds one row per published MAE of a model in our registry. It was made from a wider
collection, whose names are mapped by the tables below; run `python -m reports.published COLLECTION.csv` to
make it again. A name that no table knows is an error, never a row that is silently left out.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

PUBLISHED_CSV = Path(__file__).with_name("published.csv")
COLUMNS = ["model", "variant", "dataset", "target", "unit", "mae", "params", "source"]

# Registry keys in the order in which tables and colours take them. Kept here because the registry itself
# imports torch.
REGISTRY_KEYS = (
    "crystalformer", "crystalframer", "cgcnn", "schnet", "megnet", "gatgnn",
    "m3gnet", "alignn", "matformer", "potnet", "icomformer", "ecomformer",
)  # fmt: skip

# Name in the collection -> (registry key, variant). An empty variant is the model as its paper recommends it.
MODEL_NAMES: dict[str, tuple[str, str]] = {
    "Crystalformer": ("crystalformer", ""),
    "Crystalformer w/o SWA": ("crystalformer", "without SWA"),
    "Crystalformer 4 blocks": ("crystalformer", "4 blocks"),
    "Crystalformer 7 blocks": ("crystalformer", "7 blocks"),
    "Crystalformer 8 blocks": ("crystalformer", "8 blocks"),
    # Crystalformer with frames is CrystalFramer's architecture (951,809 parameters) with another choice
    # of frame.
    "Crystalformer + PCA frames": ("crystalframer", "PCA frames"),
    "Crystalformer + lattice frames": ("crystalframer", "lattice frames"),
    "Crystalformer + static local frames": ("crystalframer", "static local frames"),
    "CrystalFramer": ("crystalframer", ""),
    "CrystalFramer weighted PCA frames": ("crystalframer", "weighted PCA frames"),
    "CrystalFramer lightweight": ("crystalframer", "lightweight"),
    "CrystalFramer 4 blocks": ("crystalframer", "4 blocks"),
    "CrystalFramer 8 blocks": ("crystalframer", "8 blocks"),
    "CGCNN": ("cgcnn", ""),
    "CGCNN (as cited)": ("cgcnn", "as cited by ALIGNN's authors"),
    "CGCNN (ALIGNN README)": ("cgcnn", "as cited by ALIGNN's authors"),
    "CGCNN v2019": ("cgcnn", "v2019"),
    "SchNet": ("schnet", ""),
    "SchNet (as cited)": ("schnet", "as cited by ALIGNN's authors"),
    "SchNet (kgcnn v2.1.0)": ("schnet", "kgcnn 2.1.0"),
    "MEGNet": ("megnet", ""),
    "MEGNet (original)": ("megnet", "original split"),
    "MEGNet (as cited)": ("megnet", "as cited by ALIGNN's authors"),
    "MEGNet (matgl retrained)": ("megnet", "retrained by matgl"),
    "MegNet (kgcnn v2.1.0)": ("megnet", "kgcnn 2.1.0"),
    "GATGNN": ("gatgnn", ""),
    "GATGNN (original)": ("gatgnn", "original split"),
    "M3GNet": ("m3gnet", ""),
    "M3GNet (matgl retrained)": ("m3gnet", "retrained by matgl"),
    "ALIGNN": ("alignn", ""),
    "ALIGNN (original)": ("alignn", "original authors"),
    "Matformer": ("matformer", ""),
    "PotNet": ("potnet", ""),
    "PotNet (leaderboard)": ("potnet", "JARVIS-Leaderboard"),
    "iComFormer": ("icomformer", ""),
    "eComFormer": ("ecomformer", ""),
}

# Models of the collection that are not in our registry; their rows are left out of published.csv.
OTHER_MODELS = frozenset(
    {"coGN", "coNGN", "DimeNet++ (kgcnn v2.1.0)", "MODNet (v0.1.12)", "DeeperGATGNN", "Dummy"}
)

# (data set, task) in the collection -> our data set and target, as the catalogue of data sets has them. One
# target is one quantity, whatever data set it is measured on.
QUANTITIES: dict[tuple[str, str], tuple[str, str]] = {
    ("MP-MEGNet-2018.6.1", "formation_energy"): ("mp-2018.6.1", "formation_energy_per_atom"),
    ("MP-MEGNet-2018.6.1", "band_gap"): ("mp-2018.6.1", "band_gap"),
    ("MP-MEGNet-2018.6.1", "bulk_modulus"): ("mp-2018.6.1", "log10_K_VRH"),
    ("MP-MEGNet-2018.6.1", "shear_modulus"): ("mp-2018.6.1", "log10_G_VRH"),
    ("JARVIS-DFT-3D-2021", "formation_energy"): ("jarvis-dft-3d-2021", "formation_energy_per_atom"),
    ("JARVIS-DFT-3D-2021", "total_energy"): ("jarvis-dft-3d-2021", "total_energy_per_atom"),
    ("JARVIS-DFT-3D-2021", "band_gap_OPT"): ("jarvis-dft-3d-2021", "band_gap"),
    ("JARVIS-DFT-3D-2021", "band_gap_MBJ"): ("jarvis-dft-3d-2021", "band_gap_mbj"),
    ("JARVIS-DFT-3D-2021", "e_hull"): ("jarvis-dft-3d-2021", "e_above_hull"),
    ("OQMD-3D", "formation_energy"): ("oqmd", "formation_energy_per_atom"),
    ("OQMD-3D", "band_gap"): ("oqmd", "band_gap"),
    ("OQMD-3D", "e_hull"): ("oqmd", "e_above_hull"),
    ("matbench_v0.1", "mp_e_form"): ("matbench-mp_e_form", "formation_energy_per_atom"),
    ("matbench_v0.1", "mp_gap"): ("matbench-mp_gap", "band_gap"),
    ("matbench_v0.1", "log_kvrh"): ("matbench-log_kvrh", "log10_K_VRH"),
    ("matbench_v0.1", "log_gvrh"): ("matbench-log_gvrh", "log10_G_VRH"),
    ("matbench_v0.1", "dielectric"): ("matbench-dielectric", "refractive_index"),
    ("matbench_v0.1", "phonons"): ("matbench-phonons", "last_phonon_dos_peak"),
    ("matbench_v0.1", "perovskites"): ("matbench-perovskites", "perovskite_formation_energy"),
    ("matbench_v0.1", "jdft2d"): ("matbench-jdft2d", "exfoliation_energy"),
}


_KNOWN = {f"{dataset}: {target}" for dataset, target in QUANTITIES.values()}


@dataclass(frozen=True)
class Unmapped:
    """A name of the collection that no table above knows."""

    kind: str
    name: str


def unmapped(collection: pd.DataFrame) -> list[Unmapped]:
    """Every name in `collection` (columns model, dataset, task) that would need a row in a table above."""
    known_models = MODEL_NAMES.keys() | OTHER_MODELS
    known_datasets = {dataset for dataset, _ in QUANTITIES}
    tasks = set(zip(collection["dataset"], collection["task"], strict=True))
    return (
        [Unmapped("model", name) for name in sorted(set(collection["model"]) - known_models)]
        + [Unmapped("data set", name) for name in sorted(set(collection["dataset"]) - known_datasets)]
        + [Unmapped("task", f"{data}: {task}") for data, task in sorted(tasks - QUANTITIES.keys())]
    )


def clean(collection: pd.DataFrame) -> pd.DataFrame:
    """Rows of `collection` for the models of our registry, in our names, with the columns `COLUMNS`.

    Raises ValueError where a name is not mapped.
    """
    if strangers := unmapped(collection):
        listed = "; ".join(f"{stranger.kind} {stranger.name!r}" for stranger in strangers)
        raise ValueError(f"published errors: no mapping in reports/published.py for {listed}")
    ours = collection[collection["model"].isin(MODEL_NAMES.keys())]
    quantities = [QUANTITIES[key] for key in zip(ours["dataset"], ours["task"], strict=True)]
    rows = pd.DataFrame(
        {
            "model": [MODEL_NAMES[name][0] for name in ours["model"]],
            "variant": [MODEL_NAMES[name][1] for name in ours["model"]],
            "dataset": [dataset for dataset, _ in quantities],
            "target": [target for _, target in quantities],
            "unit": ours["unit"].to_numpy(),
            "mae": ours["mae"].to_numpy(),
            "params": ours["n_params"].astype("Int64").to_numpy(),
            "source": [" ".join(text.split()) for text in ours["source"]],
        },
        columns=COLUMNS,
    )
    return rows


def load(path: Path = PUBLISHED_CSV) -> pd.DataFrame:
    """The published errors: columns `COLUMNS`, `mae` in `unit`, `params` nullable integers, `variant`
    never missing.
    """
    table = pd.read_csv(path, dtype={"params": "Int64"}, keep_default_na=False, na_values={"params": [""]})
    if list(table.columns) != COLUMNS:
        raise ValueError(f"{path}: expected the columns {','.join(COLUMNS)}, got {','.join(table.columns)}")
    if strange := sorted(set(table["model"]) - set(REGISTRY_KEYS)):
        raise ValueError(f"{path}: model: expected registry keys, got {', '.join(strange)}")
    named = zip(table["dataset"], table["target"], strict=True)
    if strange := sorted({f"{dataset}: {target}" for dataset, target in named} - _KNOWN):
        raise ValueError(f"{path}: expected data sets and targets of QUANTITIES, got {', '.join(strange)}")
    if (table["source"] == "").any() or not (table["mae"] > 0).all():
        raise ValueError(f"{path}: expected a positive mae and a source in every row")
    return table


def comparable(published: pd.DataFrame, models: set[str], targets: set[str]) -> pd.DataFrame:
    """Published rows for the same quantities as `targets` and for the registry keys `models`, in table
    order.
    """
    rows = published[published["model"].isin(models) & published["target"].isin(targets)].copy()
    datasets = list(dict.fromkeys(dataset for dataset, _ in QUANTITIES.values()))
    rows["model_order"] = [REGISTRY_KEYS.index(key) for key in rows["model"]]
    rows["dataset_order"] = [datasets.index(name) for name in rows["dataset"]]
    order = ["target", "dataset_order", "model_order", "variant"]
    return rows.sort_values(order, kind="stable").drop(columns=["model_order", "dataset_order"])


if __name__ == "__main__":
    clean(pd.read_csv(sys.argv[1], keep_default_na=False, na_values={"n_params": [""]})).to_csv(
        PUBLISHED_CSV, index=False
    )
