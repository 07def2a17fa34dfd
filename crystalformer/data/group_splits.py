"""Splits by groups of crystals: what is tested or validated on has nothing of its kind among the training
crystals.

Leaving clusters out tells how a model extrapolates (B. Meredig et al., Mol. Syst. Des. Eng. 3 (2018) 819),
where a random split tells how it interpolates. A crystal may be in several groups: by elements it is in one
for each.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from crystalformer.data.splits import Split

Wanted = float | tuple[str, ...]  # a share of all crystals, or the names of groups


def by_groups(
    ids: Sequence[str],
    groups: Mapping[str, Collection[str]],
    kind: str,
    val: Wanted,
    test: Wanted,
    seed: int,
) -> Split:
    """Test and validation crystals are those of whole groups; the others are trained on.

    The crystals of the named groups, all of them, make a part. For a share, groups are taken in an order that
    `random.Random(seed)` shuffles, each that still fits into the share of the crystals, so that a part is no
    larger than asked for. Validation groups are taken from what test leaves over. Parts are in the order of
    `ids`.

    Args:
        ids: the crystals.
        groups: id -> names of its groups, at least one.
        kind: what groups are, for messages and the rule: composition, element, prototype.
        val: which are validated on.
        test: which are tested on.
        seed: of the order of groups.

    Raises:
        ValueError: an unknown group, or a part without crystals.
    """
    shuffled = sorted({name for id_ in ids for name in groups[id_]})
    random.Random(seed).shuffle(shuffled)
    tested = _part(list(ids), groups, kind, test, shuffled, len(ids), "test")
    rest = [id_ for id_ in ids if id_ not in tested]
    validated = _part(rest, groups, kind, val, shuffled, len(ids), "val")
    seeded = f", seed {seed}" if isinstance(val, float) or isinstance(test, float) else ""
    return Split.of(
        train=[id_ for id_ in rest if id_ not in validated],
        val=[id_ for id_ in rest if id_ in validated],
        test=[id_ for id_ in ids if id_ in tested],
        rule=f"whole groups by {kind}: val {_shown(val)}, test {_shown(test)}{seeded}",
    )


def _part(
    ids: list[str],
    groups: Mapping[str, Collection[str]],
    kind: str,
    wanted: Wanted,
    names: Sequence[str],
    total: int,
    label: str,
) -> set[str]:
    members: dict[str, list[str]] = {}
    for id_ in ids:
        for name in groups[id_]:
            members.setdefault(name, []).append(id_)
    if isinstance(wanted, tuple):
        for name in wanted:
            if name not in members:
                close = get_close_matches(name, members, n=3, cutoff=0.5)
                hint = f"; did you mean {' or '.join(close)}?" if close else ""
                raise ValueError(
                    f"split.{label}: expected a {kind} of the {len(ids)} crystals, got {name!r}{hint}"
                )
        return {id_ for name in wanted for id_ in members[name]}
    taken: set[str] = set()
    for name in names:
        added = taken.union(members.get(name, ()))
        if len(added) <= wanted * total:
            taken = added
    if not taken:
        smallest = min(map(len, members.values()), default=0)
        raise ValueError(
            f"split.{label}: expected a group by {kind} of at most {wanted:g} of {total} crystals, "
            f"got none, the smallest has {smallest}; a larger share or a named group would do"
        )
    return taken


def _shown(wanted: Wanted) -> str:
    return f"{wanted:g}" if isinstance(wanted, float) else " ".join(wanted)
