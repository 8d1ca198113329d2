"""Observations as rows: what is packed comes back, whatever lies in the places that hold no object."""

import math

import pytest
import torch

from bmem.errors import InputError
from bmem.events.observation import Layout


def test_values_and_objects_come_back() -> None:
    layout, rng = Layout(2, 4, 3), torch.Generator().manual_seed(1)
    values, objects = torch.randn(5, 2, generator=rng), torch.randn(5, 3, 3, generator=rng)
    mask = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 0], [0, 1, 0]]).bool()
    objects[~mask] = math.nan
    rows = layout.pack(values, objects, mask)
    assert rows.shape == (5, layout.width) == (5, 2 + 4 * 4)
    assert torch.isfinite(rows).all()
    for lead in ((5,), (5, 1)):
        found_values, found_objects, found_mask = layout.unpack(rows.reshape(*lead, -1))
        assert torch.equal(found_values.reshape(5, 2), values)
        assert found_objects.shape == (*lead, 4, 3)
        assert torch.equal(found_mask.reshape(5, 4), torch.nn.functional.pad(mask.float(), (0, 1)))
        assert torch.equal(found_objects.reshape(5, 4, 3)[:, :3][mask], objects[mask])


@pytest.mark.parametrize("values", [0, 3])
def test_a_vector_is_its_own_row(values: int) -> None:
    rows = torch.randn(6, values)
    layout = Layout(values)
    assert torch.equal(layout.pack(rows), rows)
    assert [part.shape[1:] for part in layout.unpack(rows)] == [(values,), (0, 0), (0,)]


def test_objects_alone_are_an_observation() -> None:
    layout, objects = Layout(0, 2, 3), torch.randn(4, 2, 3)
    rows = layout.pack(torch.empty(4, 0), objects, torch.ones(4, 2))
    assert torch.equal(layout.unpack(rows)[1], objects)


def test_empty_places_beyond_the_layout_are_dropped_and_objects_there_are_not() -> None:
    layout, mask = Layout(1, 2, 1), torch.tensor([[1, 1, 0], [0, 1, 0], [1, 1, 1]]).bool()
    values, objects = torch.zeros(3, 1), torch.ones(3, 3, 1)
    assert layout.pack(values[:2], objects[:2], mask[:2]).shape == (2, 5)
    with pytest.raises(InputError, match="event 2 has 3 objects, some of them beyond the 2 places"):
        layout.pack(values, objects, mask)


def test_wrong_shapes_are_refused() -> None:
    layout = Layout(2, 3, 1)
    with pytest.raises(InputError, match=r"\[N, 2\] values, not \(4, 3\)"):
        layout.pack(torch.zeros(4, 3))
    with pytest.raises(InputError, match=r"\[N, m, 1\] objects"):
        layout.pack(torch.zeros(4, 2), torch.zeros(4, 3, 2), torch.ones(4, 3))
    with pytest.raises(InputError, match="with their mask"):
        layout.pack(torch.zeros(4, 2), torch.zeros(4, 3, 1))
    with pytest.raises(InputError, match="has 8 numbers, not 9"):
        layout.unpack(torch.zeros(4, 9))
    with pytest.raises(InputError, match="objects with features or neither"):
        Layout(1, objects=2)
