"""Run folders as a search leaves them, with random predictions, for the tests of the reports."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from final_folders import write_final, write_json
from model_labels import LABELS, PARAMETERS

from reports.picture import slug

UNIT = "log10(GPa)"


@dataclass
class RunFolderMaker:
    """Writes one run folder; `errors` is the mean absolute error that each model's random predictions
    have, roughly.
    """

    errors: dict[str, float] = field(default_factory=lambda: {"crystalformer": 0.07, "cgcnn": 0.09})
    name: str = "quickstart"
    status: str = "finished"
    targets: dict[str, str | None] = field(default_factory=lambda: {"log10_K_VRH": UNIT})
    dataset: str = "mp-elastic-2015"
    label: str = "Materials Project, elastic moduli (2015)"
    digest: str = "d1" * 32
    split_hash: str = "5a" * 32
    test_hash: str = "7e" * 32
    train: int = 400
    seeds: tuple[int, ...] = (0, 1, 2)
    val: int = 40
    test: int = 50
    epochs: int = 6
    trials: int = 8
    ranks: int = 1
    notes: tuple[str, ...] = ()
    failures: tuple[dict[str, str], ...] = ()
    unrepresented: dict[str, int] = field(default_factory=dict)  # model -> so many of each split
    floors: dict[str, float] = field(default_factory=dict)  # as errors; "mean" has one seed
    settings: dict[str, Any] = field(default_factory=dict)  # of every model, as its record states them
    described: bool = True  # whether there is a crystals.parquet

    def write(self, folder: Path, finals: bool = True) -> Path:
        """Writes the run folder and returns it; without its final runs where `finals` is false."""
        folder.mkdir(parents=True)
        (folder / "tensorboard").mkdir()
        (folder / "space.yaml").write_text(
            f"name: {json.dumps(self.name)}\nbudget: {{trials: {self.trials}}}\n", encoding="utf-8"
        )
        trials = [trial for target in self.targets for trial in self._trials(target)]
        pd.DataFrame(trials).to_parquet(folder / "trials.parquet", index=False)
        write_json(folder / "search.json", self._search())
        if self.described:
            self.crystals().to_parquet(folder / "crystals.parquet", index=False)
        if finals:
            for target in self.targets:
                for model in self.errors:
                    for rank in range(1, self.ranks + 1):
                        for seed in self.seeds:
                            self._final(folder, target, model, rank, seed)
                for floor, error in self.floors.items():
                    for seed in self._floor_seeds(floor):
                        self._floor(folder, target, floor, seed, error)
        return folder

    def _floor_seeds(self, floor: str) -> tuple[int, ...]:
        return self.seeds[:1] if floor == "mean" else self.seeds

    def truth(self, target: str) -> pd.DataFrame:
        """The labels, one row per validation and test crystal."""
        rng = np.random.default_rng([len(target), 7])
        splits = ["val"] * self.val + ["test"] * self.test
        ids = [f"mp-{number}" for number in range(len(splits))]
        return pd.DataFrame({"id": ids, "split": splits, "y_true": rng.normal(1.9, 0.4, len(splits))})

    def crystals(self) -> pd.DataFrame:
        """What `suite.crystals` writes: four kinds of crystals in turn, one of them without symmetry."""
        kinds = [
            ("NaCl", "Na Cl", 2, 225),
            ("SiO2", "O Si", 9, 152),
            ("Fe", "Fe", 1, 229),
            ("Fe2O3", "O Fe", 10, None),
        ]
        rows = [(f"mp-{number}", *kinds[number % len(kinds)]) for number in range(self.val + self.test)]
        table = pd.DataFrame(rows, columns=["id", "formula", "elements", "atoms", "space_group"])
        table = table.astype({"atoms": "Int32", "space_group": "Int16"})
        table.attrs = {"symmetry_tolerance": 0.1}
        return table

    def _search(self) -> dict[str, Any]:
        split = {
            "rule": "fractions 0.8/0.1/0.1, seed 123",
            "hash": self.split_hash,
            "test_hash": self.test_hash,
            "train": self.train,
            "val": self.val,
            "test": self.test,
        }
        stats = {"train_mean": 1.9, "train_sd": 0.4, "train_mad": 0.31}
        return {
            "name": self.name,
            "command": f"python -m suite.search --space search_spaces/{self.name}.yaml",
            "status": self.status,
            "started": "2025-06-01T10:00:00+00:00",
            "finished": "2025-06-01T10:07:30+00:00" if self.status == "finished" else None,
            "seconds": 450.0,
            "space_digest": "ab" * 32,
            "suite_version": "0.1.0",
            "dataset": {
                "name": self.dataset,
                "label": self.label,
                "digest": self.digest,
                "crystals": self.train + self.val + self.test,
                "atoms": 7 * (self.train + self.val + self.test),
                "targets": self.targets,
                "split": dict.fromkeys(self.targets, split),
                "target_stats": dict.fromkeys(self.targets, stats),
            },
            "models": {
                model: {"label": LABELS[model], "paper": f"{LABELS[model]}, a paper (2024)"}
                for model in self.errors
            },
            "budget": {"trials": self.trials, "epochs": self.epochs, "hours": None},
            "final": {"top": self.ranks, "seeds": list(self.seeds), "epochs": self.epochs},
            "floors": {
                floor: {
                    "label": LABELS[floor],
                    "paper": f"{LABELS[floor]}, a paper (2001)",
                    "seeds": list(self._floor_seeds(floor)),
                }
                for floor in self.floors
            },
            "notes": list(self.notes),
            "failures": list(self.failures),
            "provenance": {
                "commit": "0123456789abcdef",
                "dirty": False,
                "python": "3.11.7",
                "platform": "Linux",
                "cpu": "a processor",
                "cores": 2,
                "versions": {"torch": "2.13.0", "ray": "2.60.0"},
            },
        }

    def trial_id(self, target: str, model: str, rank: int = 1) -> str:
        """The trial that a final run of `model` says it was selected from."""
        return self._id(target, list(self.errors).index(model) + (rank - 1) * len(self.errors))

    def _id(self, target: str, number: int) -> str:
        """The id of a trial, which is no path whatever the name of the search is."""
        return f"{slug(f'{self.name}-{target}')}-t{number:04d}"

    def _trials(self, target: str) -> list[dict[str, Any]]:
        rng = np.random.default_rng(3)
        rows = []
        for number in range(self.trials):
            model = list(self.errors)[number % len(self.errors)]
            state = "failed" if number == 6 else "stopped" if number in (4, 5) else "complete"
            error = self.errors[model] * (1 + 0.2 * (number // len(self.errors)) + 0.1 * rng.random())
            rows.append(
                {
                    "trial_id": self._id(target, number),
                    "number": number,
                    "target": target,
                    "model": model,
                    "recipe": "published" if number < len(self.errors) else "sampled",
                    "state": state,
                    "val_mae": np.nan if state == "failed" else error,
                    "val_mae_raw": np.nan if state == "failed" else error * 1.02,
                    "epochs": {"failed": 0, "stopped": 3, "complete": self.epochs}[state],
                    "seconds": 10.0 + number,
                    "parameters": PARAMETERS[model],
                    "ended": {
                        "failed": "loss is NaN",
                        "stopped": "stopped by ASHA at epoch 3",
                        "complete": "ran all epochs",
                    }[state],
                    "config": json.dumps({"model": self.settings, "train": {"epochs": self.epochs}}),
                    f"{model}/lr": float(10 ** rng.uniform(-4, -3)),
                }
                | (_of_crystalformer(number, rng) if model == "crystalformer" else {})
            )
        return rows

    def run_id(self, target: str, model: str, seed: int, rank: int = 1) -> str:
        """The name of one final run."""
        return f"{model}-{self.dataset}-{target}-s{seed}-{rank:04x}"

    def _final(self, folder: Path, target: str, model: str, rank: int, seed: int) -> None:
        rng = np.random.default_rng([list(self.errors).index(model), rank, seed, len(target)])
        table = self.truth(target)
        scale = self.errors[model] * np.sqrt(np.pi / 2) * (0.9 + 0.1 * rank)
        table["y_pred"] = table["y_true"] + rng.normal(0, scale, len(table))
        number = self.unrepresented.get(model, 0)
        absent = table.groupby("split")["id"].tail(number) if number else pd.Series(dtype=str)
        table.loc[table["id"].isin(absent), "y_pred"] = np.nan
        train_absent = [f"train-{n}" for n in range(number)]
        write_final(
            folder / "final" / self.run_id(target, model, seed, rank),
            table,
            {
                "run_id": self.run_id(target, model, seed, rank),
                "model": model,
                "label": LABELS[model],
                "paper": f"{LABELS[model]}, a paper (2024)",
                "recipe": "published",
                "dataset": self.dataset,
                "dataset_digest": self.digest,
                "split_hash": self.split_hash,
                "target": target,
                "unit": self.targets[target],
                "seed": seed,
                "config": {"model": self.settings, "train": {"epochs": self.epochs, "seed": seed}},
                "selected_from": {
                    "trial_id": self.trial_id(target, model, rank),
                    "val_mae": self._validated(folder, target, model, rank),
                },
                "rank": rank,
                "parameters": PARAMETERS[model],
                "kept": "averaged" if model == "crystalformer" else "raw",
                "epochs": self.epochs,
                "train_s_per_epoch": 2.5 + 0.1 * seed,
                "predict_ms_per_crystal": 0.8 + 0.01 * seed,
                "peak_memory_mb": 512.0,
                "seconds": 20.0,
                "test_read_at": "2025-06-01T10:07:00+00:00",
                "status": "complete",
                "missing": dict.fromkeys(("train", "val", "test"), number),
                "unrepresented": {id_: f"reason {n % 2}" for n, id_ in enumerate([*train_absent, *absent])},
                "provenance": {"commit": "0123456789abcdef", "dirty": False},
            },
            self.epochs,
        )

    def _floor(self, folder: Path, target: str, floor: str, seed: int, error: float) -> None:
        """A floor, as `suite.floors` leaves it: no trial, no parameters, no epochs."""
        table = self.truth(target)
        spread = np.random.default_rng([seed, len(floor)]).normal(0, error * np.sqrt(np.pi / 2), len(table))
        table["y_pred"] = 1.9 if floor == "mean" else table["y_true"] + spread
        record = {
            "run_id": self.run_id(target, floor, seed),
            "model": floor,
            "label": LABELS[floor],
            "paper": "",
            "recipe": None,
            "dataset": self.dataset,
            "dataset_digest": self.digest,
            "split_hash": self.split_hash,
            "target": target,
            "unit": self.targets[target],
            "seed": seed,
            "config": {"model": {}, "train": {"epochs": 0}},
            "selected_from": {"trial_id": None, "val_mae": None},
            "rank": 1,
            "floor": True,
            "parameters": None,
            "kept": None,
            "epochs": 0,
            "train_s_per_epoch": None,
            "predict_ms_per_crystal": 0.02,
            "peak_memory_mb": 300.0,
            "seconds": 1.0,
            "status": "complete",
            "missing": dict.fromkeys(("train", "val", "test"), 0),
            "unrepresented": {},
            "provenance": {"commit": "0123456789abcdef", "dirty": False},
        }
        write_final(folder / "final" / record["run_id"], table, record, epochs=0)

    def _validated(self, folder: Path, target: str, model: str, rank: int) -> float:
        trials = pd.read_parquet(folder / "trials.parquet")
        return float(trials.loc[trials["trial_id"] == self.trial_id(target, model, rank), "val_mae"].iloc[0])


def _of_crystalformer(number: int, rng: np.random.Generator) -> dict[str, Any]:
    """Columns that only its trials have; every other trial has no bound."""
    bound = np.nan if number % 4 else 2.5e-4
    return {
        "crystalformer/num_layers": int(rng.integers(1, 5)),
        "images_radius": 6.5,
        "truncation_bound": bound,
    }
