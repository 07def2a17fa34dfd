"""One contract for every model of the registry; a new one gets all of it by being registered.

A model may have exceptions, each with its reason: a property that it lacks as published, or parameters that
its loss cannot depend on. They are held to be true: without the exception the test must fail.
"""

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pytest
from contract_checks import CHECKS, TOLERANCE, Subject, predicts_the_same, trains_every_parameter
from contract_crystals import SAME_CASES, TIES

from suite.registry import MODELS


@dataclass(frozen=True)
class Departure:
    """Why predictions depend on how a crystal is written, and how much at most, in units of their spread."""

    reason: str
    at_most: float = math.inf


BOX = Departure("the adaptive box of cells, as published, cuts off Gaussians at 3.5 sigma", at_most=1e-3)
FRAME = Departure("among equal weights, fractional displacements choose the axes of a frame", at_most=1e-2)
CUT = Departure("at equal distance, the order of atoms decides who is the k-th neighbour")
TWICE = Departure("edges to an atom's own images count twice; in a supercell they lead to its copy")
CELL = Departure("some edges or lattice vectors belong to the cell as it is written")

EXCEPTIONS: dict[str, dict[str, Departure]] = {  # model -> case
    "crystalformer": dict.fromkeys(
        ("basis", "left-handed basis", "basis with ties", "left-handed basis with ties"), BOX
    ),
    "crystalframer": {
        **dict.fromkeys(("basis", "left-handed basis"), BOX),
        **dict.fromkeys(("basis with ties", "left-handed basis with ties"), FRAME),
    },
    "cgcnn": dict.fromkeys(("permutation with ties", "supercell with ties"), CUT),
    "gatgnn": dict.fromkeys(("permutation with ties", "supercell with ties"), CUT),
    "alignn": dict.fromkeys(("supercell", "supercell with ties"), TWICE),
    "matformer": {
        way + ties: CELL for way in ("basis", "left-handed basis", "supercell") for ties in ("", TIES)
    },
    "potnet": dict.fromkeys(("supercell", "supercell with ties"), CELL),
    "icomformer": dict.fromkeys(("supercell", "supercell with ties"), CELL),
    "ecomformer": dict.fromkeys(("supercell", "supercell with ties"), CELL),
}

SOFTMAX = "the softmax ignores what is added to all it compares"
NORM = "a batch norm follows, which takes away what is added to all rows"
LAST = "what it normalises enters nothing"

WITHOUT_GRADIENT: dict[str, dict[str, str]] = {  # model -> parameters, as a pattern
    "crystalformer": {"blocks.*.attention.key.bias": SOFTMAX},
    "crystalframer": {"blocks.*.attention.key.bias": SOFTMAX},
    "cgcnn": {"convolutions.*.linear.bias": NORM},
    "megnet": {"state_layers.first.weight": "the state of a crystal begins as zeros"},
    "gatgnn": {"attentions.[0-9].bias": NORM, "pool.score.bias": SOFTMAX},
    "alignn": {
        "embed_*.linears.*.bias": NORM,
        "*_layers.*.update.bias": NORM,
        "line_layers.3.edge_norm.*": LAST,
        "gcn_layers.3.edge_norm.*": LAST,
    },
    "matformer": {"layers.*.merge.bias": NORM},
    "potnet": {"layers.*.messages.gate.bias": NORM},
    "icomformer": {"convolutions.*.concat.bias": NORM, "edge_update.concat.bias": NORM},
    "ecomformer": {"convolutions.*.concat.bias": NORM},
}


@pytest.fixture(scope="module", params=MODELS)
def subject(request, store, tmp_path_factory) -> Subject:
    return Subject(MODELS[request.param], store, tmp_path_factory.mktemp("graphs"))


@pytest.mark.parametrize("case", SAME_CASES)
def test_a_prediction_ignores_how_a_crystal_is_written(subject: Subject, case: str) -> None:
    exception = EXCEPTIONS.get(subject.entry.key, {}).get(case)
    if exception is None:
        predicts_the_same(subject, case)
    else:
        assert TOLERANCE < subject.departure(case) <= exception.at_most, exception.reason


def test_a_loss_moves_every_parameter(subject: Subject) -> None:
    patterns = WITHOUT_GRADIENT.get(subject.entry.key, {})
    names = [name for name, _ in subject.model.named_parameters()]
    matched = {pattern: {n for n in names if fnmatchcase(n, pattern)} for pattern in patterns}
    assert all(matched.values()), "a pattern matches no parameter"
    trains_every_parameter(subject, without=set().union(*matched.values()))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_model(subject: Subject, check) -> None:
    check(subject)


def test_exceptions_are_of_known_cases() -> None:
    assert all(set(cases) <= set(SAME_CASES) for cases in EXCEPTIONS.values())
