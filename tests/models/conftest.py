"""The crystals of the contract as a store, written once."""

import pytest
from contract_crystals import contract_store

from crystalformer.data.array_store import ArrayStore


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> ArrayStore:
    return contract_store(tmp_path_factory.mktemp("contract"))
