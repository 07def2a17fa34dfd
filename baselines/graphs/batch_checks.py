"""What a batch must be for a model to read it: elements that its table has, edges as its rule cuts them."""

from baselines.graphs.batch import GraphBatch


def check_elements(model: str, batch: GraphBatch, last: int) -> None:
    """Raises ValueError where an atom of `batch` has a Z above `last`; the message names `model`."""
    highest = int(batch.numbers.max())
    if highest > last:
        raise ValueError(f"numbers: {model} expected elements up to Z = {last}, got Z = {highest}")


def check_edges_per_atom(batch: GraphBatch, neighbours: int) -> None:
    """Raises ValueError unless `batch` has `neighbours` edges for each atom, as `KNearest` gives them."""
    atoms, edges = len(batch.numbers), len(batch.edge_neighbors)
    if edges != atoms * neighbours:
        raise ValueError(
            f"edge_neighbors: expected {neighbours} edges for each of {atoms} atoms, got "
            f"{edges} edges; cut the batches by KNearest(neighbours={neighbours})"
        )
