"""`model_card.md`: what an exported model was made of, how good it is, and what it must not be asked."""

from collections.abc import Sequence

from crystalformer.data.catalog import DATASETS
from crystalformer.data.elements import SYMBOLS
from suite.prediction.saved import SavedTarget

SUITE_LICENSE = "MIT"


def model_card(name: str, targets: Sequence[SavedTarget], half: bool) -> str:
    """The card in Markdown, of an ensemble of the same model for one or more targets."""
    first = targets[0]
    about = first.about
    data = DATASETS.get(about["dataset"]["name"])
    sections = [
        f"# {name}",
        f"{about['label']} ({about['paper']}) for {', '.join(t.target for t in targets)}: the mean over "
        f"{len(first.seeds)} seeds, with an uncertainty. Made by Crystalformer Suite "
        f"{about['suite_version']} in the run `{about['run']}`.",
        "## How good it is",
        _errors(targets),
        "Errors are mean absolute errors. One network: mean over the seeds. Ensemble: what this model "
        "answers. The interval is the answer ± uncertainty; on crystals like those of validation it holds "
        f"the true value in {about['coverage']['nominal']:.1%} of the cases, on the test crystals it did as "
        "the table says.",
        "## Data",
        f"{about['dataset']['label']}; digest `{about['dataset']['digest']}`.",
        _splits(targets),
        f"Source: {data.citation if data else 'not recorded'}.",
        f"Licence of the data: {data.license if data else 'not recorded'}.",
        "## Protocol",
        f"Hyper-parameters were chosen on validation crystals, by `{about['run']}`; the test crystals were "
        "read by the final runs alone, after the choice. Recipe: "
        f"{about['recipe']}, {about['train']['epochs']} epochs, batches of {about['train']['batch_size']}.",
        f"The weights are stored as {'float16' if half else 'float32'} and used as float32.",
        "## Limits",
        _limits(targets),
        "## Licence",
        f"Code and weights: {SUITE_LICENSE}.",
        "## Citation",
        f"Model: {about['paper']}. Data: {data.citation if data else 'not recorded'}.",
    ]
    return "\n\n".join(sections) + "\n"


def _errors(targets: Sequence[SavedTarget]) -> str:
    rows = [
        "| target | unit | one network, test | ensemble, test | ensemble, validation | in the interval, test "
        "| parameters |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for target in targets:
        test, val = (target.about["errors"][part] for part in ("test", "val"))
        alone = sum(test["mae_of_seeds"]) / len(test["mae_of_seeds"])
        rows.append(
            f"| {target.target} | {target.unit or 'not known'} | {alone:.4f} | {test['mae']:.4f} "
            f"| {val['mae']:.4f} | {target.about['coverage']['test']:.1%} | {target.about['parameters']:,} |"
        )
    return "\n".join(rows)


def _splits(targets: Sequence[SavedTarget]) -> str:
    rows = ["| target | split | train | validation | test | hash |", "|---|---|---:|---:|---:|---|"]
    for target in targets:
        split = target.about["split"]
        counts = " | ".join(f"{split[part]:,}" for part in ("train", "val", "test"))
        rows.append(f"| {target.target} | {split['rule']} | {counts} | `{split['hash']}` |")
    return "\n".join(rows)


def _limits(targets: Sequence[SavedTarget]) -> str:
    seen = targets[0].training
    unseen = [symbol for z, symbol in enumerate(SYMBOLS, start=1) if z not in seen.elements]
    return (
        f"Trained on {seen.crystals:,} crystals of up to {seen.atoms} atoms, with volumes of "
        f"{seen.volume_per_atom[0]:.3g} to {seen.volume_per_atom[1]:.3g} Å³ per atom. Elements it has never "
        f"seen: {', '.join(unseen)}. Beyond these the answer is a guess and comes with a warning. The "
        "uncertainty knows of the spread between seeds and of the errors on validation crystals, nothing "
        "else: not of errors of the reference data, nor of crystals unlike those of validation."
    )
