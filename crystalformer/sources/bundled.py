"""The data sets that come with the package, as `Crystal`s. Needs no pymatgen; `bundle` has the format."""

import io
from importlib.resources import files
from pathlib import Path

import numpy as np

from crystalformer.data.catalog import Dataset
from crystalformer.data.crystal import Crystal
from crystalformer.data.manifest import file_sha256
from crystalformer.sources.records import DataError

BUNDLED = Path(str(files("crystalformer.data"))) / "bundled"
STEPS_PER_UNIT = 10**6  # integers are millionths of an Å or of a cell vector


def read_bundled(dataset: Dataset, folder: Path = BUNDLED) -> list[Crystal]:
    """All crystals of a bundled data set, in the order of its source, with the catalogue's targets.

    Raises:
        DataError: the data set is not bundled, or its file is missing or has another SHA-256.
    """
    bundle = dataset.bundle
    if bundle is None:
        raise DataError(f"{dataset.name}: expected a bundled data set")
    path = folder / bundle.file
    if not path.is_file():
        raise DataError(
            f"{path}: expected the bundled data set {dataset.name}, got no such file; reinstall the package"
        )
    checksum = file_sha256(path)
    if checksum != bundle.sha256:
        raise DataError(f"{path}: expected SHA-256 {bundle.sha256}, got {checksum}; reinstall the package")
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
        ids = [id_.decode() for id_ in arrays["ids"].tolist()]
        names = [name.decode() for name in arrays["target_names"].tolist()]
        offsets = np.cumsum(arrays["sizes"], dtype=np.int64)[:-1]
        lattices = _exact(arrays["lattices"])
        frac_coords = np.split(_exact(arrays["frac_coords"]), offsets)
        numbers = np.split(arrays["numbers"], offsets)
        targets = arrays["targets"].T.tolist()
    return [
        Crystal(id_, lattice, frac, z, dict(zip(names, values, strict=True)))
        for id_, lattice, frac, z, values in zip(ids, lattices, frac_coords, numbers, targets, strict=True)
    ]


def _exact(values: np.ndarray) -> np.ndarray:
    # Division gives the double nearest to the decimal number, as reading its text does; a product with
    # 1e-6 would not.
    return values / STEPS_PER_UNIT if values.dtype.kind == "i" else values
