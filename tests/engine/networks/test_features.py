"""Features of every family of networks, by layer path."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdcore.errors import ConfigError, UnknownName
from kdcore.methods.feature_losses import attention_loss, attention_map
from kdcore.networks.features import default_layer, feature_shape, layer_names, record
from kdcore.networks.frozen import FrozenNetwork
from kdcore.networks.registry import build_model

# Shape of each default layer's features, worked out from how the network is built; None if it has no such layer.
DEFAULTS = {
    "convnet-4": {"map": (16, 8, 8), "middle": (8, 8, 8), "embedding": (256,)},
    "resnet-4": {"map": (16, 4, 4), "middle": (8, 8, 8), "embedding": (16,)},
    "resnet9-4": {"map": (32, 4, 4), "middle": (8, 16, 16), "embedding": (32,)},
    "resnet18-4": {"map": (32, 4, 4), "middle": (8, 16, 16), "embedding": (32,)},
    "airbench-4-6-8": {"map": (8, 3, 3), "middle": (6, 7, 7), "embedding": (8,)},
    "mlp-12-10-8": {"map": None, "middle": (10,), "embedding": (8,)},
    "inkmlp-12": {"map": None, "middle": (12,), "embedding": (12,)},
    "dropoutmlp-12-10": {"map": None, "middle": (12,), "embedding": (10,)},
    "torchvision:squeezenet1_1": {"map": (256, 3, 3), "middle": (256, 3, 3), "embedding": None},
    "torchvision:mobilenet_v3_small": {"map": (48, 2, 2), "middle": (40, 2, 2), "embedding": (1024,)},
}
SHAPE = (3, 32, 32)


def pictures(number: int = 4, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    return torch.rand(number, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def hooks_of(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


@pytest.mark.parametrize("name", DEFAULTS)
def test_default_layers_are_where_the_network_has_them(name: str) -> None:
    network = build_model(name, SHAPE, 5, seed=0)
    for kind, expected in DEFAULTS[name].items():
        if expected is None:
            with pytest.raises(ConfigError, match="has no"):
                default_layer(network, kind, SHAPE)
            continue
        path = default_layer(network, kind, SHAPE)
        assert path in layer_names(network)
        assert feature_shape(network, path, SHAPE) == expected


@pytest.mark.parametrize("name", [name for name in DEFAULTS if ":" not in name])
def test_the_embedding_is_what_the_last_linear_layer_takes(name: str) -> None:
    network = build_model(name, SHAPE, 5, seed=0).eval()
    path = default_layer(network, "embedding")
    with record(network, path) as embedding:
        logits = network(pictures())
    head = network.get_submodule(path.removesuffix(".input"))
    scale = 1 / 9 if name.startswith("airbench") else 1.0
    torch.testing.assert_close(F.linear(embedding.value, head.weight, head.bias) * scale, logits)


def test_stages_of_a_nested_network_are_named() -> None:
    network = build_model("torchvision:resnet18", SHAPE, 5, seed=0)
    assert {"layer2", "layer2.0", "layer2.1.conv1", "fc", "fc.input"} <= set(layer_names(network))
    assert default_layer(network, "map", (3, 64, 64)) == "layer4"
    assert default_layer(network, "map", SHAPE) == "layer3"  # the maps of the fourth stage are 1x1
    assert default_layer(network, "middle", SHAPE) == "layer2"
    assert default_layer(network, "embedding", SHAPE) == "fc.input"


def test_what_is_recorded_is_what_the_layer_gave_though_the_next_works_in_place() -> None:
    network = build_model("convnet-4", SHAPE, 5, seed=0)
    batch = pictures()
    with record(network, "1") as pooled, record(network, "2") as active:
        logits = network(batch)
    assert float(pooled.value.detach().min()) < 0
    torch.testing.assert_close(active.value, pooled.value.relu())
    (logits.square().sum() + pooled.value.sum()).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_gradient_of_a_recorded_feature_is_that_of_the_layers_under_it() -> None:
    network = build_model("convnet-4", SHAPE, 5, seed=0)
    batch = pictures()
    with record(network, "3") as feature:
        network(batch)
    first = network[0][0].weight
    got = torch.autograd.grad(feature.value.square().mean(), first)
    expected = torch.autograd.grad(network[:4](batch).square().mean(), first)
    torch.testing.assert_close(got, expected)


def test_recording_follows_the_latest_pass_and_changes_no_answer() -> None:
    network = build_model("resnet-4", SHAPE, 5, seed=0).eval()
    expected = network(pictures())
    with record(network, "4") as feature:
        network(pictures(2))
        assert feature.value.shape[0] == 2
        torch.testing.assert_close(network(pictures()), expected)
        assert feature.value.shape[0] == 4


def test_a_frozen_teachers_features_are_constants_of_a_loss() -> None:
    teacher = FrozenNetwork(build_model("convnet-8", SHAPE, 5, seed=0))
    student = build_model("convnet-4", SHAPE, 5, seed=1)
    path = default_layer(teacher, "map", SHAPE)
    assert path == default_layer(teacher.network, "map", SHAPE)
    assert feature_shape(teacher, path, SHAPE) == (32, 8, 8)
    with record(teacher, path) as of_teacher, record(student, path) as of_student:
        teacher(pictures())
        student(pictures())
    assert not of_teacher.value.requires_grad
    assert not of_teacher.value.is_inference()
    attention_loss(attention_map(of_student.value, (8, 8)), attention_map(of_teacher.value, (8, 8))).backward()
    assert float(student[0][0].weight.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())
    (of_teacher.value * torch.ones(1, requires_grad=True)).sum().backward()  # autograd may keep it for a backward pass


def test_hooks_go_whatever_happens() -> None:
    network = build_model("convnet-4", SHAPE, 5, seed=0)
    with pytest.raises(RuntimeError), record(network, "0"), record(network, "10.input"):
        network(torch.zeros(1, 7, 32, 32))
    with pytest.raises(RuntimeError):
        feature_shape(network, "0", (7, 32, 32))
    with pytest.raises(RuntimeError):
        default_layer(network, "map", (7, 32, 32))
    default_layer(network, "map", SHAPE)
    assert hooks_of(network) == 0


def test_looking_at_shapes_leaves_the_network_as_it_was() -> None:
    network = build_model("resnet-4", SHAPE, 5, seed=0)
    network[0].eval()
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    feature_shape(network, "4", SHAPE)
    default_layer(network, "middle", SHAPE)
    assert modes == [module.training for module in network.modules()]
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_unknown_layers_are_answered_with_the_known_ones() -> None:
    network = build_model("convnet-4", SHAPE, 5, seed=0)
    with pytest.raises(UnknownName, match=r"10\.input") as caught, record(network, "layer9"):
        pass
    assert caught.value.legal == layer_names(network)
    with pytest.raises(UnknownName, match="embedding"):
        default_layer(network, "last", SHAPE)  # type: ignore[arg-type]


class Awkward(nn.Module):
    """Has a layer that never runs, one that gives a tuple, and a linear layer called `input`."""

    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Linear(4, 3)
        self.unused = nn.Linear(3, 3)
        self.cell = nn.LSTMCell(3, 3)
        self.parts = nn.ModuleList([nn.Linear(3, 2)])

    def forward(self, x: Tensor) -> Tensor:  # [B, 4] -> [B, 2]
        answer: Tensor = self.parts[0](self.cell(self.input(x))[0])
        return answer


def test_layers_without_a_feature_say_so() -> None:
    network = Awkward()
    assert layer_names(network) == (
        *("input", "input.input", "unused", "unused.input", "cell", "parts.0", "parts.0.input"),
    )
    with pytest.raises(ConfigError, match="took no part"):
        feature_shape(network, "unused", (4,))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="neither maps"), record(network, "cell"):
        network(torch.zeros(2, 4))
    assert feature_shape(network, "input", (4,)) == (3,)  # type: ignore[arg-type]
    assert feature_shape(network, "input.input", (4,)) == (4,)  # type: ignore[arg-type]
    assert hooks_of(network) == 0


def test_an_ensemble_has_no_layers_of_its_own() -> None:
    members = nn.ModuleList(FrozenNetwork(build_model("mlp-4", SHAPE, 5, seed=seed)) for seed in (0, 1))
    with pytest.raises(ConfigError, match="one of its members"):
        layer_names(FrozenNetwork(nn.Sequential(*members)))


def test_features_of_many_students_at_once() -> None:
    """Features recorded in one batched pass over stacked weights equal those of each student run by itself."""
    students = [build_model("mlp-6", (1, 4, 4), 3, seed=seed) for seed in range(3)]
    weights, _ = torch.func.stack_module_state(students)
    batch = pictures(5, (1, 4, 4))

    def embedding(state: dict[str, Tensor]) -> Tensor:
        with record(students[0], "3.input") as feature:
            torch.func.functional_call(students[0], state, (batch,))
            return feature.value

    together = torch.func.vmap(embedding)(weights)
    for student, got in zip(students, together, strict=True):
        torch.testing.assert_close(got, student[:3](batch))
