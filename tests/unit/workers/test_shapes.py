"""Batches are cut into few shapes, because the CPU runtime makes kernels for each."""

import pytest

pytest.importorskip("openvino")

from workers.models.openvino import heights


def test_a_batch_of_any_size_is_cut_into_pieces_of_few_sizes_and_nothing_is_lost() -> None:
    sizes = set()
    for count in range(1, 129):
        pieces = heights(count, list(range(count)))
        assert [row for piece in pieces for row in piece] == list(range(count))
        sizes |= {len(piece) for piece in pieces}
        assert len(pieces) <= 4
    assert sorted(sizes) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128]
