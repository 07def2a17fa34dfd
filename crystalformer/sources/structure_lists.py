"""pymatgen structures from a Python session -> a file that a search space can name.

    from crystalformer.sources.structure_lists import write_structures

    write_structures("mine.jsonl.gz", structures, {"gap": gaps}, ids=names)

and in the search space `data: {dataset: {path: mine.jsonl.gz}, target: gap}`.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalformer.data.manifest import write_atomically
from crystalformer.sources.records import SPLIT_LABELS, is_missing
from crystalformer.sources.sites import arrays_of

if TYPE_CHECKING:
    from pymatgen.core import Structure


def write_structures(
    path: Path | str,
    structures: Sequence["Structure"],
    targets: Mapping[str, Sequence[float | None]],
    ids: Sequence[str] | None = None,
    split: Sequence[str | None] | None = None,
) -> Path:
    """Write structures and their values as JSON lines, gzipped if the name ends in `.gz`; returns the path.

    Lattices are in Å; sites keep their order, and disordered ones their fractions. Charges and other
    properties of sites are left out.

    Args:
        path: a new file, `*.jsonl` or `*.jsonl.gz`; one that is there is replaced.
        structures: pymatgen structures.
        targets: name -> a value per structure, None or NaN where there is none.
        ids: a name per structure, each once; None: row-1, row-2, ...
        split: train, val or test per structure, None for those in none of them.

    Raises:
        ValueError: another ending, lists of different lengths, an id twice, another label, or a site without
            an element.
    """
    path = Path(path)
    if not path.name.lower().removesuffix(".gz").endswith(".jsonl"):
        raise ValueError(f"{path}: expected a file named *.jsonl or *.jsonl.gz")
    lists: dict[str, Sequence[Any]] = {f"target {name}": values for name, values in targets.items()}
    lists |= {"ids": ids} if ids is not None else {}
    lists |= {"split": split} if split is not None else {}
    for name, values in lists.items():
        if len(values) != len(structures):
            raise ValueError(
                f"{name}: expected {len(structures)} values, one per structure, got {len(values)}"
            )
    if ids is not None and len(set(ids)) < len(ids):
        raise ValueError(f"ids: expected every id once, got {len(ids)} ids, {len(set(ids))} different")
    unknown = {label for label in split or () if label is not None} - set(SPLIT_LABELS)
    if unknown:
        raise ValueError(f"split: expected train, val or test, got {', '.join(sorted(unknown))}")
    lines = []
    for number, structure in enumerate(structures):
        lattice, frac_coords, numbers, mixed = arrays_of(structure)
        given = {name: column[number] for name, column in targets.items()}
        entry = {
            "id": f"row-{number + 1}" if ids is None else ids[number],
            "species": numbers.tolist(),
            "lattice": lattice.tolist(),
            "frac": frac_coords.tolist(),
            "targets": {
                name: float(value)
                for name, value in given.items()
                if value is not None and not is_missing(value)
            },
        }
        entry |= {"mixed": mixed} if mixed else {}
        entry |= {"split": split[number]} if split is not None and split[number] is not None else {}
        lines.append(json.dumps(entry, ensure_ascii=False) + "\n")
    text = "".join(lines).encode()
    write_atomically(path, gzip.compress(text, mtime=0) if path.suffix.lower() == ".gz" else text)
    return path
