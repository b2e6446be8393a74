"""The losses on features are compared with the papers' formulas, worked in NumPy in float64."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor, nn

from kdcore.errors import ConfigError
from kdcore.methods.feature_losses import attention_loss, attention_map, build_regressor, hint_loss, relational_loss


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def block_means(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the means over equal blocks of the last two axes."""
    height, width = size
    tall, wide = maps.shape[-2] // height, maps.shape[-1] // width
    return maps.reshape(*maps.shape[:-2], height, tall, width, wide).mean((-3, -1))


@pytest.mark.parametrize(
    ("student_shape", "teacher_shape"),
    [((3, 8, 8), (5, 4, 4)), ((3, 4, 4), (5, 8, 8)), ((3, 4, 4), (5, 4, 4)), ((3, 8, 4), (5, 4, 8)), ((6,), (9,))],
)
def test_hint_is_the_mean_square_after_the_regressor(
    student_shape: tuple[int, ...], teacher_shape: tuple[int, ...]
) -> None:
    student, teacher = normal(4, *student_shape), normal(4, *teacher_shape, seed=1)
    regressor = build_regressor(student_shape, teacher_shape)
    loss = hint_loss(regressor(student), teacher)
    loss.backward()
    weight, bias = (parameter.detach().double().numpy() for parameter in regressor.parameters())
    x, y = student.double().numpy(), teacher.double().numpy()
    if len(student_shape) == 3:
        size = tuple(np.minimum(student_shape[1:], teacher_shape[1:]))
        x, y = np.moveaxis(block_means(x, size), 1, -1), np.moveaxis(block_means(y, size), 1, -1)
        weight = weight[..., 0, 0]
    assert float(loss.detach()) == pytest.approx(np.mean((x @ weight.T + bias - y) ** 2), rel=1e-5)
    assert all(parameter.grad is not None for parameter in regressor.parameters())


def test_a_map_and_a_vector_are_not_compared() -> None:
    with pytest.raises(ConfigError, match="both"):
        build_regressor((8, 4, 4), (16,))


@pytest.mark.parametrize("size", [(8, 8), (4, 2)])
def test_attention_is_the_papers(size: tuple[int, int]) -> None:
    student, teacher = normal(4, 3, 8, 8), normal(4, 5, 8, 8, seed=1)
    maps = []
    for features in (student, teacher):
        squares = block_means((features.double().numpy() ** 2).mean(1), size).reshape(4, -1)
        maps.append(squares / np.linalg.norm(squares, axis=1, keepdims=True))
    np.testing.assert_allclose(attention_map(student, size), maps[0], rtol=1e-5)
    loss = float(attention_loss(attention_map(student, size), attention_map(teacher, size)))
    equation_2 = np.linalg.norm(maps[0] - maps[1], axis=1)
    assert loss == pytest.approx(np.mean(equation_2**2) / np.prod(size), rel=1e-5)


def test_attention_knows_no_order_sign_or_size_of_channels() -> None:
    features = normal(4, 6, 8, 8)
    expected = attention_map(features, (4, 4))
    torch.testing.assert_close(attention_map(-7 * features[:, torch.randperm(6)], (4, 4)), expected)
    torch.testing.assert_close(attention_map(features.repeat(1, 3, 1, 1), (4, 4)), expected)


def test_a_dead_map_keeps_attention_and_its_gradient_finite() -> None:
    features = torch.zeros(2, 3, 4, 4, requires_grad=True)
    loss = attention_loss(attention_map(features, (4, 4)), attention_map(normal(2, 3, 4, 4), (4, 4)))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(features.grad).all()


def huber(difference: np.ndarray) -> np.ndarray:
    """The Huber loss of each difference (Park et al. 2019, equation 7)."""
    size = np.abs(difference)
    return np.where(size <= 1, difference**2 / 2, size - 0.5)


def relations(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances and cosines of angles (Park et al. 2019, equations 5, 6 and 9), pair by pair and triplet by triplet."""
    distances = cdist(points, points)
    cosines = np.zeros((len(points),) * 3)
    for i, j, k in product(range(len(points)), repeat=3):
        if distances[i, j] > 0 and distances[k, j] > 0:
            cosines[i, j, k] = (points[i] - points[j]) @ (points[k] - points[j]) / distances[i, j] / distances[k, j]
    return distances / distances[distances > 0].mean(), cosines


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (25.0, 50.0)])
@pytest.mark.parametrize("twins", [False, True])
def test_relational_loss_is_the_papers(weights: tuple[float, float], twins: bool) -> None:
    student = normal(7, 3).double() + 1e6  # far from 0, where products cancel
    teacher = 10 * normal(7, 5, seed=1)
    if twins:
        student[4], teacher[1] = student[2], teacher[6]
    (near, narrow), (far, wide) = (relations(side.double().numpy()) for side in (student, teacher))
    expected = weights[0] * huber(near - far).mean() + weights[1] * huber(narrow - wide).mean()
    assert float(relational_loss(student, teacher, *weights)) == pytest.approx(expected, rel=1e-5)


def test_relations_survive_rotation_scale_and_shift() -> None:
    student, teacher = normal(9, 4).double(), normal(9, 6, seed=1).double()
    turn = torch.linalg.qr(normal(4, 4, seed=2).double()).Q
    expected = relational_loss(student, teacher, 1.0, 2.0)
    torch.testing.assert_close(relational_loss(3 * student @ turn - 5, teacher, 1.0, 2.0), expected)
    alike = torch.cat([0.1 * student @ turn, torch.zeros(9, 2)], dim=1)
    assert float(relational_loss(student, alike, 1.0, 2.0)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("same", [(), (0, 1), (0, 1, 2, 3)])
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_few_pictures_or_twins_keep_relations_finite(batch: int, same: tuple[int, ...]) -> None:
    student = normal(4, 3)
    student[list(same)] = student[0].clone()
    student = student[:batch].clone().requires_grad_()
    loss = relational_loss(student, normal(batch, 5, seed=1), 25.0, 50.0)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()
    if batch == 1 or (batch == 2 and not same):  # one picture has no relation, two have one distance: their mean
        assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)


def test_a_large_batch_is_compared_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdcore.methods.feature_losses.MAX_GROUP", 6)
    student, teacher = normal(11, 3), normal(11, 5, seed=1)
    alone = [relational_loss(student[part], teacher[part], 1.0, 2.0) for part in (slice(6), slice(6, 11))]
    torch.testing.assert_close(relational_loss(student, teacher, 1.0, 2.0), torch.stack(alone).mean())


TEACHER_MAP = attention_map(normal(3, 2, 4, 4, seed=1).double(), (2, 2))
GRADIENTS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "hint": (lambda x: hint_loss(x, normal(3, 2, 4, 4, seed=1).double()), (3, 2, 2, 2)),
    "attention": (lambda x: attention_loss(attention_map(x, (2, 2)), TEACHER_MAP), (3, 2, 4, 4)),
    "relational": (lambda x: relational_loss(x, normal(5, 4, seed=1).double(), 1.0, 2.0), (5, 3)),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    loss, shape = GRADIENTS[name]
    assert torch.autograd.gradcheck(loss, normal(*shape).double().requires_grad_())


@pytest.mark.parametrize("name", GRADIENTS)
def test_half_precision_features_are_weighed_in_full(name: str) -> None:
    loss, shape = GRADIENTS[name]
    rounded = normal(*shape).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = loss(rounded)
    torch.testing.assert_close(got.double(), loss(rounded.double()).double(), rtol=1e-5, atol=1e-7)


def test_several_students_relations_at_once_are_the_same_as_one_by_one() -> None:
    students, teacher = normal(3, 6, 4), normal(6, 5, seed=1)
    weights = torch.tensor([1.0, 2.0, 25.0])
    together = torch.func.vmap(lambda student, weight: relational_loss(student, teacher, weight, 1.0))(
        students, weights
    )
    alone = [relational_loss(students[i], teacher, weights[i], 1.0) for i in range(3)]
    torch.testing.assert_close(together, torch.stack(alone))


def test_a_student_learns_a_hint() -> None:
    """A layer and its regressor, trained together, reach the teacher's features."""
    pictures, hint = normal(8, 3, 8, 8), normal(8, 4, 4, 4, seed=1)
    layer, regressor = nn.Conv2d(3, 16, 3, padding=1), build_regressor((16, 8, 8), (4, 4, 4))
    optimizer = torch.optim.Adam([*layer.parameters(), *regressor.parameters()], lr=0.01)
    first = last = 0.0
    for step in range(20):
        loss = hint_loss(regressor(layer(pictures)), hint)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = (float(loss.detach()) if step == 0 else first), float(loss.detach())
    assert last < 0.95 * first
