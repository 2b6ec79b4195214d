import math

import pytest
import torch

from vdprobe.head.deformable import POINTS, DeformableAttention, Grids, sample

SHAPES = ((4, 5), (3, 2))
PLACES = sum(height * width for height, width in SHAPES)


@pytest.fixture
def attention():
    torch.manual_seed(0)
    made = DeformableAttention(width=8, heads=2, levels=len(SHAPES))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


def grids(padding):
    return Grids(SHAPES, padding, torch.ones(len(padding), len(SHAPES), 2))


def cell(picture, row, column):
    inside = 0 <= row < picture.shape[0] and 0 <= column < picture.shape[1]
    return picture[row, column] if inside else torch.zeros_like(picture[0, 0])


def bilinear(picture, x, y):
    """The value at (x, y), where the centre of cell (i, j) is at ((j + 0.5) / width, (i + 0.5) / height)."""
    row, column = y * picture.shape[0] - 0.5, x * picture.shape[1] - 0.5
    top, left = math.floor(row), math.floor(column)
    down, right = row - top, column - left
    return (
        cell(picture, top, left) * (1 - down) * (1 - right)
        + cell(picture, top, left + 1) * (1 - down) * right
        + cell(picture, top + 1, left) * down * (1 - right)
        + cell(picture, top + 1, left + 1) * down * right
    )


@torch.no_grad()
def test_sampling_equals_plain_loops():
    torch.manual_seed(1)
    value = torch.randn(2, PLACES, 2, 3)
    places = torch.rand(2, 3, 2, len(SHAPES), POINTS, 2) * 1.6 - 0.3  # some beyond the border
    weights = torch.rand(2, 3, 2, len(SHAPES), POINTS)
    expected = torch.zeros(2, 3, 2, 3)
    for n, query, head in ((n, q, h) for n in range(2) for q in range(3) for h in range(2)):
        start = 0
        for level, (height, width) in enumerate(SHAPES):
            picture = value[n, start : start + height * width, head].reshape(height, width, 3)
            start += height * width
            for point in range(POINTS):
                x, y = places[n, query, head, level, point].tolist()
                expected[n, query, head] += weights[n, query, head, level, point] * bilinear(picture, x, y)
    torch.testing.assert_close(sample(value, places, weights, SHAPES), expected.flatten(2))


@torch.no_grad()
def test_what_lies_in_the_padding_is_not_read(attention):
    padding = torch.zeros(1, PLACES, dtype=torch.bool)
    padding[0, ::3] = True
    query, memory = torch.randn(1, 3, 8), torch.randn(1, PLACES, 8)
    reference = torch.rand(1, 3, len(SHAPES), 2)
    read = attention(query, reference, memory, grids(padding))
    other = torch.where(padding[..., None], 100.0, memory)
    assert torch.equal(attention(query, reference, other, grids(padding)), read)
    assert not torch.allclose(attention(query, reference, other, grids(torch.zeros_like(padding))), read)


@torch.no_grad()
def test_a_box_scales_the_offsets_and_a_point_has_them_in_cells(attention):
    """An offset counts eighths of a box: of a box of 8 cells, cells."""
    query, memory = torch.randn(1, 3, 8), torch.randn(1, PLACES, 8)
    there = grids(torch.zeros(1, PLACES, dtype=torch.bool))
    centre = torch.rand(1, 3, len(SHAPES), 2)
    cells = torch.tensor([[1 / width, 1 / height] for height, width in SHAPES])
    box = torch.cat([centre, (2 * POINTS * cells).expand(1, 3, -1, -1)], dim=-1)
    torch.testing.assert_close(attention(query, box, memory, there), attention(query, centre, memory, there))


def test_untrained_heads_look_in_directions_of_their_own():
    attention = DeformableAttention(width=8, heads=4, levels=1)
    attention.reset()
    offsets = attention.sampling_offsets.bias.reshape(4, POINTS, 2)
    right, down = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    for direction, head in zip((right, down, -right, -down), offsets, strict=True):
        torch.testing.assert_close(head, torch.arange(1, POINTS + 1)[:, None] * direction)
