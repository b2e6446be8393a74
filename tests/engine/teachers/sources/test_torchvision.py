"""torchvision's classifiers as teachers: what their cards say, their preprocessing, and how they are fetched."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdcore.cli.main import main
from kdcore.errors import ConfigError, ModelFileError, TeacherUnavailable, UnknownName
from kdcore.machine.torchvision_import import build_classifier, classifier_weights
from kdcore.networks.frozen import FrozenNetwork
from kdcore.networks.library import build_library_network
from kdcore.networks.normalisation import add_input_normalisation
from kdcore.networks.registry import build_model, count_macs, count_params
from kdcore.pictures.prepare import prepare_picture
from kdcore.pictures.views import to_float
from kdcore.teachers.load import load_teacher
from kdcore.teachers.predict import predict
from kdcore.teachers.published import PUBLISHED, published_teacher, remote_file
from kdcore.teachers.sources import imagenet, torchvision
from kdcore.teachers.sources.torchvision import cache_folder, fetch_published
from tests.engine.conftest import Host

SMALL = "squeezenet1_1"  # any classifier would do; this one is small


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """torchvision's own network with random weights, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return build_classifier(SMALL).eval()


@pytest.fixture(scope="module")
def saved(network: torch.nn.Module) -> bytes:
    """The weights of `network` in the file format in which torchvision publishes weights."""
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    return file.getvalue()


def offer(monkeypatch: pytest.MonkeyPatch, body: bytes, url: str = "http://127.0.0.1:9/") -> str:
    """Make `body` the published file, at `url`, and return its name. No server runs at the default address."""
    real = remote_file(published_teacher(SMALL))
    sha256 = hashlib.sha256(body).hexdigest()
    fake = replace(real, urls=(url + real.name,), checksum=sha256[:8], size=len(body))
    monkeypatch.setattr(torchvision, "remote_file", lambda teacher: fake)
    return real.name


# --- what is known of them


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_registry_says_what_torchvision_says(name: str) -> None:
    teacher = PUBLISHED[name]
    weights = classifier_weights(name, teacher.weights)
    remote = remote_file(teacher)
    assert remote.urls == (weights.url,)
    assert remote.algorithm == "sha256"
    assert len(remote.checksum) == 8
    assert weights.url.endswith(f"-{remote.checksum}.pth")
    assert remote.size == pytest.approx(weights.meta["_file_size"] * 2**20, abs=1)
    with torch.device("meta"):  # shapes without numbers are quick
        network, theirs = build_model(f"torchvision:{name}", (3, 224, 224), 1000), build_classifier(name)
    assert count_params(network) == weights.meta["num_params"]
    assert count_macs(network, (3, 224, 224)) / 1e9 == pytest.approx(weights.meta["_ops"], abs=0.001)
    assert set(network.state_dict()) == set(theirs.state_dict())  # torchvision's files fit


def test_the_first_teachers_learned_without_smoothing_and_the_others_say_so() -> None:
    assert next(iter(PUBLISHED)) == "resnet50"
    assert {"resnet50", "resnet18", "mobilenet_v3_large", "efficientnet_b0", "convnext_tiny"} <= set(PUBLISHED)
    for name in ("resnet50", "resnet18", "mobilenet_v3_large"):
        assert PUBLISHED[name].weights == "IMAGENET1K_V1"  # the second versions were trained with smoothing and mixing
        assert PUBLISHED[name].training["label_smoothing"] == 0
        assert "not used" in PUBLISHED[name].notes
    for name in ("efficientnet_b0", "convnext_tiny"):
        assert "smooth" in PUBLISHED[name].notes


def test_class_names_are_unique_and_every_class_has_a_superclass() -> None:
    names = imagenet.unique_names(classifier_weights("resnet50").meta["categories"])
    assert len(set(names)) == 1000
    assert imagenet.unique_names(["crane", "dog", "crane"]) == ("crane (0)", "dog", "crane (2)")
    assert len(imagenet.superclasses()) == 1000


def test_the_superclasses_hold_the_labels_that_anybody_would_put_there() -> None:
    names = classifier_weights("resnet50").meta["categories"]
    above = dict(zip(names, imagenet.superclasses(), strict=True))
    expected = {
        "wolf": "timber wolf, white wolf, red wolf, coyote",
        "wild dog": "dingo, dhole, African hunting dog",
        "dog": "Chihuahua, German shepherd, Siberian husky, Mexican hairless, wire-haired fox terrier, Irish wolfhound",
        "fox": "red fox, kit fox, Arctic fox, grey fox",
        "cat": "tabby, tiger cat, Persian cat, Siamese cat, Egyptian cat",
        "big cat": "cougar, lynx, leopard, snow leopard, jaguar, lion, tiger, cheetah",
        "bear": "brown bear, American black bear, ice bear, sloth bear, giant panda",
        "bird": "cock, robin, bald eagle, great grey owl, peacock, hummingbird, goose, crane bird, king penguin",
        "fish": "tench, goldfish, great white shark, stingray, coho, anemone fish, puffer",
        "reptile": "loggerhead, Komodo dragon, American alligator, triceratops, Indian cobra, sidewinder",
        "amphibian": "axolotl, bullfrog, tailed frog",
        "arachnid": "harvestman, scorpion, black widow, wolf spider, tick",
        "insect": "ladybug, bee, dragonfly, monarch, lycaenid, ant",
        "mollusc": "snail, conch, chambered nautilus",
        "crustacean": "Dungeness crab, American lobster, hermit crab, isopod",
        "ungulate": "sorrel, zebra, hog, hippopotamus, bison, ram, gazelle, Arabian camel, llama",
        "primate": "orangutan, baboon, Madagascar cat, indri, proboscis monkey",
        "other mammal": "koala, platypus, grey whale, hyena, hare, fox squirrel, African elephant, lesser panda",
        "other animal": "trilobite, centipede, jellyfish, starfish, sea cucumber",
        "vehicle": "airliner, ambulance, canoe, fire engine, mountain bike, school bus, steam locomotive, yawl, moped",
        "instrument": "accordion, cello, drum, grand piano, sax, violin",
        "food": "guacamole, ice cream, cheeseburger, broccoli, banana, pizza, red wine, eggnog",
        "clothing": "jersey, cowboy boot, sunglasses, kimono",
        "furniture": "desk, rocking chair, wardrobe",
        "building": "castle, church, beacon, suspension bridge, yurt",
        "landscape": "alp, volcano, seashore",
        "plant": "daisy, corn, acorn",
        "fungus": "agaric, bolete",
        "person": "ballplayer, groom, scuba diver",
    }  # fmt: skip
    for superclass, labels in expected.items():
        for label in labels.split(", "):
            assert above[label] == superclass, label


def test_superclasses_that_the_animal_photos_have_too_are_called_the_same(data_dir: Path) -> None:
    rows = json.loads((data_dir / "animals64" / "classes.json").read_text(encoding="utf-8"))
    ours = dict(zip(classifier_weights("resnet50").meta["categories"], imagenet.superclasses(), strict=True))
    both = {row["name"]: row["superclass"] for row in rows if row["name"] in ours}
    assert len(both) > 30
    for label, superclass in both.items():
        assert ours[label] == ("other animal" if superclass == "other" else superclass), label


# --- preprocessing and logits


@pytest.mark.parametrize("size", [(640, 480), (300, 900), (224, 224), (60, 90), (1000, 257)])
@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "convnext_tiny"])  # 256; bicubic; 236
def test_a_picture_is_prepared_as_the_weights_were_evaluated(name: str, size: tuple[int, int]) -> None:
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width]
    draw = np.random.default_rng(0).integers(0, 60, (height, width, 3))
    waves = np.stack([np.sin(rows / 9) + np.cos(columns / 13), np.sin(columns / 31), np.cos((rows + columns) / 7)], -1)
    picture = Image.fromarray((draw + 45 * (waves + 2)).clip(0, 255).astype(np.uint8))
    weights = classifier_weights(name, PUBLISHED[name].weights)
    preset = weights.transforms()
    wanted = preset(picture)  # torchvision's preprocessing, which also subtracts the mean and divides by the deviation
    ours = prepare_picture(picture, (3, 224, 224), preset.resize_size[0], preset.interpolation.value)
    scaled = add_input_normalisation(torch.nn.Identity(), preset.mean, preset.std)(to_float(ours))[0]
    off = (scaled - wanted).abs() * torch.tensor(preset.std).view(3, 1, 1) * 255  # in grey levels
    assert float(off.mean()) < 0.6
    assert float(off.quantile(0.99)) <= 2.5


def test_the_network_answers_as_torchvisions_own_does(network: torch.nn.Module) -> None:
    ours = build_model(f"torchvision:{SMALL}", (3, 224, 224), 1000)
    ours.load_state_dict(network.state_dict())
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        wanted = network((pixels / 255 - mean) / std)
    assert torch.allclose(FrozenNetwork(ours)(to_float(pixels)), wanted, atol=1e-4)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "densenet121", "vit_b_32"])
def test_networks_that_torchvision_builds_otherwise_with_weights_can_take_them(name: str) -> None:
    weights = classifier_weights(name)
    side = weights.transforms().crop_size[0]
    with torch.device("meta"):
        network = build_library_network(f"torchvision:{name}", (3, side, side), 1000)
    heads = sum(p.numel() for n, p in network.named_parameters() if n.lower().startswith("aux"))
    # The published numbers leave out the parameters of heads that are used in training only.
    assert count_params(network) - heads in (weights.meta["num_params"], weights.meta["num_params"] - heads)


def test_old_names_of_weights_are_brought_to_the_present_ones() -> None:
    old = "features.denseblock1.denselayer12.norm.2.running_var"
    assert torchvision._modern_key(old) == "features.denseblock1.denselayer12.norm2.running_var"
    assert torchvision._modern_key("layer1.0.bn2.weight") == "layer1.0.bn2.weight"


def test_timm_is_asked_for_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it were not installed
    with pytest.raises(ConfigError, match="install it with: pip install timm"):
        build_model("timm:resnet50", (3, 224, 224), 1000)
    with pytest.raises(UnknownName, match="timm:NAME"):
        build_model("other:resnet50", (3, 224, 224), 1000)


# --- fetching


def test_weights_are_fetched_checked_converted_and_used_without_network(
    host: Host, home: Path, network: torch.nn.Module, saved: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = offer(monkeypatch, saved, host.url)
    host.files[file], host.cut_at = saved, 2_000_000
    with pytest.raises(TeacherUnavailable, match="cut off"):
        list(fetch_published(SMALL))
    host.cut_at = None
    steps = list(fetch_published(SMALL))
    assert [step.done_bytes for step in steps] == sorted(step.done_bytes for step in steps)
    assert steps[-1].done_bytes == steps[-1].total_bytes == len(saved)
    assert host.asked == [f"{file}@0", f"{file}@2000000"]  # the second request continues the download
    assert not list(cache_folder().iterdir())  # the downloaded file, which could hold code, is removed
    asked = len(host.asked)
    host.files.clear()
    assert list(fetch_published(SMALL)) == []
    teacher = load_teacher(SMALL)
    assert len(host.asked) == asked
    card = teacher.card
    assert (card.model, card.dataset, card.image_shape) == (f"torchvision:{SMALL}", "imagenet", (3, 224, 224))
    assert card.figures["published_accuracy"]["mean"] == card.accuracy == 0.58178  # torchvision's table
    assert (card.resize, card.interpolation, card.calibration) == (256, "bilinear", 1.0)
    assert "not measured here" in card.notes
    for name, value in network.state_dict().items():
        assert torch.equal(teacher.network.network.state_dict()[name].to(value.dtype), value)
    answer = predict(teacher, Image.new("RGB", (300, 200), (90, 120, 40)))
    assert len(answer["soft_labels"]) == 1000
    assert sum(answer["superclasses"].values()) == pytest.approx(1)
    (home / "models" / f"{SMALL}.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelFileError, match="fetch it again"):
        load_teacher(SMALL)
    host.files[file] = saved
    assert list(fetch_published(SMALL))  # a damaged file is fetched again
    load_teacher(SMALL)


def test_a_file_put_there_by_hand_is_taken(home: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    file = offer(monkeypatch, saved)
    cache_folder().mkdir(parents=True)
    (cache_folder() / file).write_bytes(saved[:-1] + b"x")
    with pytest.raises(TeacherUnavailable, match="is not what torchvision published"):
        list(fetch_published(SMALL))
    (cache_folder() / file).write_bytes(saved)
    assert [step.file for step in fetch_published(SMALL)] == [file]
    assert load_teacher(SMALL).card.accuracy == 0.58178


def test_pytorchs_own_cache_is_looked_into_and_left_alone(
    home: Path, saved: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = offer(monkeypatch, saved)
    kept = tmp_path / "torch" / "hub" / "checkpoints" / file
    kept.parent.mkdir(parents=True)
    kept.write_bytes(saved)
    list(fetch_published(SMALL, new_name="mine"))
    assert kept.read_bytes() == saved
    assert load_teacher("mine").card.model == f"torchvision:{SMALL}"


def test_safetensors_put_there_by_hand_are_taken_without_a_claim(home: Path, network: torch.nn.Module) -> None:
    from safetensors.torch import save_file

    cache_folder().mkdir(parents=True)
    save_file(network.state_dict(), cache_folder() / f"{SMALL}.safetensors")
    list(fetch_published(SMALL))
    card = load_teacher(SMALL).card
    assert card.accuracy is None
    assert "published_accuracy" not in card.figures
    assert "nobody checked" in card.notes


class Trap:
    """An object that would run a command when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("trapped"),))  # type: ignore[return-value]


@pytest.mark.parametrize("what", ["code", "noise", "list", "other network"])
def test_a_published_file_that_holds_something_else_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    contents = {"code": {"a": Trap()}, "list": [torch.zeros(1)], "other network": {"a": torch.zeros(1)}}
    if what == "noise":
        file.write(bytes(range(256)))
    else:
        torch.save(contents[what], file)
    name = offer(monkeypatch, file.getvalue())
    cache_folder().mkdir(parents=True)
    (cache_folder() / name).write_bytes(file.getvalue())
    with pytest.raises(ModelFileError, match="fetch it again"):
        list(fetch_published(SMALL))
    assert not (tmp_path / "trapped").exists()
    assert not (home / "models").exists()


def test_without_network_there_is_one_sentence(
    home: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = offer(monkeypatch, saved)
    assert main(["teachers", "get", SMALL]) == 2
    out, error = capsys.readouterr()
    assert not out
    assert error.count("\n") == 1
    for word in (file, "not reachable", str(cache_folder()), "animals", "digits"):
        assert word in error
    assert main(["predict", "none.png", "--teacher", "resnet50"]) == 2
    for name in PUBLISHED:
        with pytest.raises(TeacherUnavailable, match=f"kdcore teachers get {name}"):
            load_teacher(name)
    with pytest.raises(UnknownName):
        list(fetch_published("resnet5000"))


def test_the_command_line_fetches_and_removes(
    host: Host, home: Path, saved: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = offer(monkeypatch, saved, host.url)
    host.files[file] = saved
    assert main(["teachers", "add", f"torchvision:{SMALL}", "--json"]) == 0
    (card,) = json.loads(capsys.readouterr().out)["cards"]
    assert card["name"] == SMALL
    assert main(["teachers", "--json"]) == 0
    assert SMALL in {card["name"] for card in json.loads(capsys.readouterr().out)["teachers"]}
    assert main(["teachers", "remove", SMALL]) == 0
    with pytest.raises(UnknownName):
        load_teacher(SMALL)
