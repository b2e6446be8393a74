"""Ensembles: their names, their arithmetic against NumPy, and everywhere that a teacher can be chosen."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kdcore import jobs
from kdcore.cli.main import main
from kdcore.datasets import load_dataset
from kdcore.errors import ConfigError, UnknownName
from kdcore.metrics.soft_labels import soften
from kdcore.networks.registry import build_model, count_params
from kdcore.pictures.views import to_float, zoom_middle
from kdcore.settings.config import RunConfig, make_run_config
from kdcore.settings.describe import run_command
from kdcore.store import Store
from kdcore.teachers.building.catalog import dataset_of
from kdcore.teachers.card import ModelCard, list_cards
from kdcore.teachers.ensemble_names import EnsembleName, normal_name, parse_name
from kdcore.teachers.ensembles import average, ensemble_card, member_logits, possible_ensembles
from kdcore.teachers.load import load_ensemble, load_teacher
from kdcore.teachers.predict import predict
from kdcore.teachers.teacher import load_single, save_model

BUNDLED = Path(__file__).parents[3] / "assets" / "models"


def softmax(z: np.ndarray) -> np.ndarray:
    shifted = np.exp(z - z.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


MakeTeacher = Callable[..., ModelCard]


@pytest.fixture
def make_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeTeacher:
    """A function that makes small teachers of digits with random weights, in a KDCORE_HOME of the test's own."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))

    def made(name: str, **changes: object) -> ModelCard:
        card = ModelCard.read(BUNDLED / "digits.json")
        values = {**vars(replace(card, name=name, model="mlp-16", calibration=1.5)), **changes}
        for computed in ("sha256", "size_bytes"):
            del values[computed]
        seed = sum(map(ord, name))
        network = build_model(values["model"], values["image_shape"], len(values["class_names"]), seed=seed)
        values["num_params"] = count_params(network)
        return save_model(tmp_path / "models", network, values)

    return made


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_probabilities_are_averaged_at_the_temperature(temperature: float) -> None:
    z = np.random.default_rng(0).normal(0, 3, (5, 3, 7))
    expected = softmax(z / temperature).mean(1)
    logits = average(torch.from_numpy(z).float(), temperature)
    assert logits.dtype == torch.float32
    np.testing.assert_allclose(soften(logits, temperature).numpy(), expected, atol=1e-6)


def test_logits_are_averaged_as_they_are() -> None:
    z = np.random.default_rng(1).normal(0, 3, (5, 3, 7))
    np.testing.assert_allclose(average(torch.from_numpy(z).float(), None).numpy(), z.mean(1), atol=1e-6)


def test_by_hand() -> None:
    """Both rules average 80 % and 20 % to 50 %; 90 % and 20 % give 55 % as probabilities and 60 % as logits."""
    even = torch.tensor([[[4.0, 1.0], [1.0, 4.0]]]).log()
    assert soften(average(even))[0].tolist() == pytest.approx([0.5, 0.5])
    assert soften(average(even, None))[0].tolist() == pytest.approx([0.5, 0.5])
    odd = torch.tensor([[[9.0, 1.0], [1.0, 4.0]]]).log()
    assert float(soften(average(odd))[0, 0]) == pytest.approx(0.55)
    assert float(soften(average(odd, None))[0, 0]) == pytest.approx(0.6)  # sqrt(9 / 4) to 1


def test_a_probability_that_underflows_keeps_its_logarithm() -> None:
    z = torch.tensor([[[0.0, -200.0, -400.0], [0.0, -300.0, -500.0]]])
    assert float(z[0, 0].softmax(0)[1]) == 0.0  # an average of plain probabilities would be 0
    found = average(z)[0].double()
    expected = [0.0, -200.0 - np.log(2), -400.0 - np.log(2)]
    assert found.tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("written", "normal", "temperature"),
    [
        ("b+a", "a+b", 1.0),
        ("a+b@1", "a+b", 1.0),
        ("c+a+b@4.0", "a+b+c@4", 4.0),
        ("a+b@logits", "a+b@logits", None),
        ("a+b@0.5", "a+b@0.5", 0.5),
        ("a+b@1.23456789", "a+b@1.23457", 1.23457),
    ],
)
def test_a_name_has_one_way_to_be_written(written: str, normal: str, temperature: float | None) -> None:
    spec = parse_name(written)
    assert (str(spec), spec.temperature) == (normal, temperature)
    assert parse_name(str(spec)) == spec
    assert shlex.join([normal]) == normal  # a shell leaves it unchanged
    assert normal_name("cifar10") == "cifar10"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a@4", "names 1 teacher, and an ensemble has 2 to 8"),
        ("+".join("abcdefghi"), "names 9 teachers"),
        ("a+", "lacks a teacher"),
        ("+", "lacks a teacher"),
        ("a+a", "names a more than once"),
        ("a+b@", "does not say how to average"),
        ("a+b@0", "from 0.01 to 1000"),
        ("a+b@nan", "does not say how to average"),
        ("a+b@warm", 'write logits behind the "@", or a temperature'),
        ("a+b@4@4", "does not say how to average"),
    ],
)
def test_a_name_that_is_none_gets_one_sentence(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        load_teacher(name)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


def test_members_that_do_not_fit_get_one_sentence(make_teacher: MakeTeacher) -> None:
    make_teacher("coloured", image_shape=(3, 8, 8))
    with pytest.raises(ConfigError, match="different labels"):
        load_teacher("creatures+digits")
    with pytest.raises(ConfigError, match="digits takes grey pictures and coloured colour pictures"):
        load_teacher("digits+coloured")
    with pytest.raises(UnknownName, match='no teacher "nobody"'):
        load_teacher("digits+nobody")
    with pytest.raises(UnknownName, match='no teacher "creatures-baseline"'):  # a student is no teacher
        load_teacher("creatures+creatures-baseline")


def test_an_ensemble_says_what_its_members_say_on_average(make_teacher: MakeTeacher) -> None:
    make_teacher("second")
    images = load_dataset("digits").test.images[:50]
    each = np.stack([load_teacher(name).logits(images).numpy() for name in ("digits", "second")], 1)
    ensemble = load_teacher("second+digits@4")
    assert [member.name for member in ensemble.members] == ["digits", "second"]
    np.testing.assert_allclose(member_logits(ensemble, images).numpy(), each, atol=0.05)  # bf16 where there is any
    found = soften(ensemble.logits(images), 4.0).numpy()
    np.testing.assert_allclose(found, softmax(member_logits(ensemble, images).numpy() / 4).mean(1), atol=1e-5)
    in_logits = load_teacher("digits+second@logits").logits(images).numpy()
    np.testing.assert_allclose(in_logits, member_logits(ensemble, images).numpy().mean(1), atol=1e-4)


def test_its_card_adds_up_and_knows_no_accuracy_before_it_is_measured(make_teacher: MakeTeacher) -> None:
    second = make_teacher("second")
    digits = load_single("digits").card
    card = ensemble_card("second+digits")
    assert (card.name, card.dataset, card.class_names) == ("digits+second", "digits", digits.class_names)
    for quantity in ("num_params", "macs", "size_bytes"):
        assert getattr(card, quantity) == getattr(digits, quantity) + getattr(second, quantity)
    assert (card.accuracy, card.none_below, card.calibration) == (None, None, 1.0)
    json.dumps(card.to_json(), allow_nan=False)
    ensemble = load_teacher(card.name)
    assert sum(p.numel() for p in ensemble.network.parameters()) == card.num_params
    assert ensemble.network.train().network.training is False
    assert not any(p.requires_grad for p in ensemble.network.parameters())


def test_its_hash_follows_members_and_rule_not_their_order(make_teacher: MakeTeacher) -> None:
    make_teacher("second")
    make_teacher("third")
    hashes = [
        ensemble_card(name).sha256
        for name in ("digits+second", "digits+third", "second+third", "digits+second@4", "digits+second@logits")
    ]
    assert len({*hashes}) == len(hashes)
    assert ensemble_card("second+digits").sha256 == ensemble_card("digits+second@1.0").sha256 == hashes[0]
    before = hashes[0]
    make_teacher("second", calibration=2.0)  # the same weights, other answers
    assert ensemble_card("digits+second").sha256 != before


def test_members_of_other_sizes_see_the_picture_at_their_own(make_teacher: MakeTeacher) -> None:
    make_teacher("large", image_shape=(1, 24, 24))
    ensemble = load_teacher("digits+large")
    assert ensemble.card.image_shape == (1, 24, 24)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90), dtype=np.uint8))
    seen = ensemble.prepare(picture)
    assert seen.shape == (1, 1, 24, 24)
    small = torch.nn.functional.interpolate(
        to_float(seen), size=(8, 8), mode="bilinear", antialias=True, align_corners=False
    )
    expected = load_teacher("digits").network(small).float() * ensemble.members[0].card.calibration
    torch.testing.assert_close(member_logits(ensemble, seen)[:, 0], expected, atol=0.3, rtol=0.02)
    large = load_teacher("large").logits(seen)
    torch.testing.assert_close(member_logits(ensemble, seen)[:, 1], large, atol=0.02, rtol=0.02)


def test_a_member_that_is_shown_less_of_a_picture_sees_less(make_teacher: MakeTeacher) -> None:
    """One member cuts 32 of 40 pixels out of the middle, four fifths of each side, as published weights do."""
    make_teacher("whole", image_shape=(1, 32, 32))
    make_teacher("middle", image_shape=(1, 32, 32), resize=40)
    ensemble = load_teacher("middle+whole")
    assert ensemble.card.resize is None
    seen = ensemble.prepare(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)))
    expected = load_teacher("middle").network(zoom_middle(to_float(seen), 0.8)) * 1.5
    torch.testing.assert_close(member_logits(ensemble, seen)[:, 0], expected.float(), atol=0.05, rtol=0.02)
    make_teacher("whole", image_shape=(1, 32, 32), resize=36)
    assert ensemble_card("middle+whole").resize == 36


def test_teachers_of_two_datasets_with_the_same_labels_answer_together_and_teach_neither(store: Store) -> None:
    assert dataset_of("mnist+digits") == "digits+mnist"
    answer = predict(load_ensemble("digits+mnist"), Image.new("RGB", (40, 40)), 1.0)
    assert sum(answer["soft_labels"]) == pytest.approx(1.0)
    assert answer["none_of_these"] is None
    with pytest.raises(ConfigError, match=r"learned digits\+mnist and cannot teach digits"):
        jobs.submit(store, make_run_config("digits", teacher="digits+mnist"), "local")


def test_every_set_that_fits_is_on_offer(make_teacher: MakeTeacher) -> None:
    make_teacher("second")
    make_teacher("third")
    cards = {card.name: card for card in list_cards()}
    offered = possible_ensembles([cards[name] for name in ("third", "digits", "second", "creatures")])
    assert offered == ["digits+second", "digits+third", "second+third", "digits+second+third"]
    assert possible_ensembles([cards["digits"]]) == possible_ensembles([]) == []


def test_a_configuration_holds_the_normal_name_and_survives_json_and_a_shell() -> None:
    config = make_run_config("digits", teacher="second+digits@4.0")
    assert config.teacher == "digits+second@4"
    assert RunConfig.from_json({**config.to_json(), "teacher": "second+digits@4"}) == config
    words = run_command(config.to_json()).split()  # unquoted, as a shell leaves it
    assert words[words.index("--teacher") + 1] == config.teacher
    with pytest.raises(ConfigError, match="more than once"):
        make_run_config("digits", teacher="digits+digits")


def test_an_unknown_or_unlike_member_is_refused_before_anything_is_stored(
    make_teacher: MakeTeacher, store: Store
) -> None:
    for teacher, says in (("digits+nobody", 'no teacher "nobody"'), ("creatures+digits", "cannot teach digits")):
        with pytest.raises(ConfigError, match=says):
            jobs.submit(store, make_run_config("digits", teacher=teacher), "local")
    assert not store.list_runs()


@pytest.fixture
def two_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bundled teacher of digits under a second name, as if there were two."""
    monkeypatch.setenv("KDCORE_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    shutil.copy(BUNDLED / "digits.safetensors", tmp_path / "models" / "twin.safetensors")
    card = {**json.loads((BUNDLED / "digits.json").read_text(encoding="utf-8")), "name": "twin"}
    (tmp_path / "models" / "twin.json").write_text(json.dumps(card), encoding="utf-8")
    return "digits+twin"


def test_it_teaches_on_the_command_line_like_any_teacher(
    two_digits: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = "--dataset digits --labels 40 --epochs 1 --seeds 2 --student mlp-4 --device cpu --json"
    assert main(["run", "--teacher", "twin+digits", *words.split()]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["config"]["teacher"] == two_digits
    single = load_teacher("digits").card
    assert result["arms"]["teacher"]["num_params"] == 2 * single.num_params
    assert result["arms"]["teacher"]["accuracy"]["mean"] == pytest.approx(single.accuracy, abs=0.003)
    assert main(["runs", "--teacher", "twin+digits", "--json"]) == 0
    assert [run["run_id"] for run in json.loads(capsys.readouterr().out)["runs"]] == [result["run_id"]]
    assert [path for path in tmp_path.rglob("*") if "+" in path.name] == []  # no file has the ensemble's name


def test_its_figures_are_measured_when_asked_for_and_stand_on_its_card_from_then_on(
    two_digits: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ensemble_card(two_digits).accuracy is None
    assert main(["teachers", "measure", "twin+digits", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["teacher"] == two_digits
    digits = load_teacher("digits")
    test = load_dataset("digits").test
    right = (digits.logits(test.images).argmax(1) == test.hard_labels).double().mean()
    assert answer["figures"]["accuracy"]["mean"] == pytest.approx(float(right), abs=0.003)
    assert ensemble_card(two_digits).accuracy == answer["figures"]["accuracy"]["mean"]
    assert ensemble_card(f"{two_digits}@4").accuracy is None
    assert main(["teachers", "show", "twin+digits"]) == 0
    said = capsys.readouterr().out
    assert "accuracy on test" in said and "fitted on validation" not in said


def test_what_cannot_be_measured_gets_one_sentence(make_teacher: MakeTeacher) -> None:
    from kdcore.teachers.building.measure import measure_teacher

    make_teacher("elsewhere", dataset="imagenet")
    with pytest.raises(ConfigError, match="learned imagenet, of which there are no test pictures here"):
        measure_teacher("elsewhere")
    with pytest.raises(ConfigError, match=r"learned digits\+mnist"):
        measure_teacher("digits+mnist")


def test_a_picture_that_is_none_of_the_classes_is_said_to_be(
    make_teacher: MakeTeacher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "grey.png"
    Image.new("RGB", (30, 30), "grey").save(picture)
    for name, none_below, expected in (("sure", -1e6, False), ("unsure", 1e6, True), ("digits", None, None)):
        if none_below is not None:
            make_teacher(name, none_below=none_below)
        assert main(["predict", str(picture), "--teacher", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["none_of_these"] is expected
        assert main(["predict", str(picture), "--teacher", name]) == 0
        assert ("probably none of its 10 classes" in capsys.readouterr().out) is bool(expected)


def test_the_rule_is_part_of_a_name() -> None:
    assert EnsembleName(("a", "b"), None).rule == "logits"
    assert str(EnsembleName(("a", "b"))) == "a+b"
