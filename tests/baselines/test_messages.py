"""Messages in blocks: what is gathered and added up, block by block."""

import pytest
import torch

from baselines.features import messages as module
from baselines.features.messages import Messages, _ordered_add, add_rows, gathered


@pytest.mark.parametrize("messages", [0, 1, 7, 8])
def test_blocks_cover_all_messages_once(monkeypatch, messages) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)
    rows = torch.arange(messages)
    blocks = Messages(rows, rows, rows, rows.double()).blocks()
    assert torch.cat([rows[:0], *(rows[block] for block in blocks)]).tolist() == rows.tolist()
    assert all(len(rows[block]) <= 4 for block in blocks)


@pytest.mark.parametrize("add", [add_rows, _ordered_add])  # on a CPU, and elsewhere
def test_rows_are_added_where_they_were_gathered(add) -> None:
    torch.manual_seed(0)
    values = torch.randn(5, 2, 3, dtype=torch.float64)
    rows = torch.tensor([4, 0, 0, 2])
    taken = gathered(values, rows)
    assert torch.equal(taken, values[rows])
    target = torch.ones_like(values)
    add(target, rows, taken)
    expected = torch.ones_like(values)
    for row, value in zip(rows.tolist(), taken, strict=True):
        expected[row] += value
    torch.testing.assert_close(target, expected)
