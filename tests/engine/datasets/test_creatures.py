"""The creatures: their posterior compared with a direct calculation, and what their pictures must fulfil."""

from __future__ import annotations

import dataclasses
import hashlib
from statistics import NormalDist

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm
from torch import Tensor

from kdcore.datasets import creatures
from kdcore.datasets.creatures import SPECIES, SUPERCLASSES, TRAITS, posing, renderer
from kdcore.datasets.creatures.shapes import sqrt_
from kdcore.errors import ConfigError, UnknownName
from kdcore.machine.device import torch_threads

K, D = len(SPECIES), len(TRAITS)
MEANS = np.array([trait.means for trait in TRAITS]).T  # [K, D]
SPREADS = np.array([trait.spread for trait in TRAITS])  # [D]


def prototypes() -> Tensor:
    return torch.stack([creatures.prototype(species) for species in SPECIES])


def wild(n: int, seed: int) -> Tensor:
    """Extreme creatures, which reach both ends of every trait's range and all branches of the anatomy."""
    traits, _ = creatures.sample_traits(n, seed)
    middle = prototypes().mean(0)
    return middle + 2.5 * (traits - middle)


def restless(n: int, seed: int) -> creatures.Nuisance:
    """Nuisance with poses well beyond those of the dataset."""
    nuisance = creatures.sample_nuisance(n, seed)
    return dataclasses.replace(
        nuisance, yaw=nuisance.yaw * 3, roll=nuisance.roll * 10, shift=nuisance.shift * 8, scale=nuisance.scale * 1.1
    )


# Traits, posterior and morphs


def test_the_catalogue_is_whole() -> None:
    assert SPECIES[:4] == ("wolf", "dog", "fox", "cat")
    assert len(set(SPECIES)) == len(SUPERCLASSES) == K >= 6
    assert len({trait.name for trait in TRAITS}) == D
    for trait in TRAITS:
        assert trait.title and trait.description.endswith(".")
        assert trait.spread > 0 and len(trait.means) == K
        assert trait.low <= min(trait.means) and max(trait.means) <= trait.high, trait.name


def test_posterior_agrees_with_bayes_rule_over_scipy_densities() -> None:
    traits, _ = creatures.sample_traits(300, seed=11)
    traits = torch.cat([traits, wild(100, 12), prototypes()])
    got = creatures.posterior(traits)
    densities = np.stack(
        [multivariate_normal(MEANS[k], np.diag(SPREADS**2)).pdf(traits.double().numpy()) for k in range(K)], axis=1
    )
    expected = densities / densities.sum(1, keepdims=True)
    assert got.dtype == torch.float64 and got.shape == (400 + K, K)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-7, atol=1e-12)


def test_posterior_stays_right_where_densities_underflow() -> None:
    far = torch.tensor(MEANS[0] + 60 * SPREADS).float()
    one_by_one = [float(norm(MEANS[k], SPREADS).logpdf(far.double().numpy()).sum()) for k in range(K)]
    assert max(one_by_one) < -1000  # a density of 0 in double precision
    expected = np.exp(np.array(one_by_one) - max(one_by_one))
    got = creatures.posterior(far)
    assert got.shape == (K,)
    np.testing.assert_allclose(got.numpy(), expected / expected.sum(), atol=1e-9)


def test_posterior_is_the_frequency_of_species_among_like_creatures() -> None:
    """Calibration by Monte Carlo: of the creatures with a posterior of p for a species, a share p belong to it."""
    traits, hard_labels = creatures.sample_traits(60_000, seed=13)
    posterior = creatures.posterior(traits)
    edges = torch.linspace(0, 1, 11, dtype=torch.float64)
    for k in range(K):
        mine = (hard_labels == k).double()
        place = torch.bucketize(posterior[:, k].contiguous(), edges[1:-1])
        for b in range(10):
            inside = place == b
            n = int(inside.sum())
            if n < 200:
                continue
            expected, seen = float(posterior[inside, k].mean()), float(mine[inside].mean())
            assert abs(seen - expected) < 4.5 * (expected * (1 - expected) / n) ** 0.5 + 1e-3, (SPECIES[k], b)


def test_samples_have_the_means_spreads_and_priors_that_the_posterior_assumes() -> None:
    n = 80_000
    traits, hard_labels = creatures.sample_traits(n, seed=14)
    assert traits.dtype == torch.float32 and hard_labels.dtype == torch.int64
    counts = torch.bincount(hard_labels, minlength=K).double()
    assert (counts / n - 1 / K).abs().max() < 4.5 * (1 / K * (1 - 1 / K) / n) ** 0.5
    for k in range(K):
        z = (traits[hard_labels == k].double().numpy() - MEANS[k]) / SPREADS
        m = len(z)
        assert np.abs(z.mean(0)).max() < 4.5 / m**0.5
        assert np.abs(z.std(0) - 1).max() < 4.5 / (2 * m) ** 0.5
        correlation = np.corrcoef(z.T) - np.eye(D)
        assert np.abs(correlation).max() < 5 / m**0.5  # the covariance is diagonal


def test_two_species_alone_are_confused_as_their_distance_says() -> None:
    traits, hard_labels = creatures.sample_traits(60_000, seed=15)
    posterior = creatures.posterior(traits)
    for pair in (("wolf", "dog"), ("cat", "lynx"), ("wolf", "fox")):
        a, b = (SPECIES.index(name) for name in pair)
        those = (hard_labels == a) | (hard_labels == b)
        says_b = posterior[those, b] > posterior[those, a]
        wrong = float((says_b != (hard_labels[those] == b)).double().mean())
        assert wrong == pytest.approx(NormalDist().cdf(-creatures.distances()[pair] / 2), abs=0.015)


def test_wolf_and_dog_overlap_much_more_than_wolf_and_cat() -> None:
    traits, hard_labels = creatures.sample_traits(20_000, seed=16)
    of_wolves = creatures.posterior(traits[hard_labels == 0]).mean(0)
    wolf, dog, fox, cat = of_wolves[:4].tolist()
    assert wolf > dog > fox > cat
    assert dog > 3 * cat


def test_bayes_classifier_is_right_about_78_times_in_100() -> None:
    traits, hard_labels = creatures.sample_traits(40_000, seed=17)
    posterior = creatures.posterior(traits)
    accuracy = float((posterior.argmax(1) == hard_labels).double().mean())
    assert 0.76 <= accuracy <= 0.80
    # The mean of the largest posterior is the accuracy that the posterior predicts for itself.
    assert float(posterior.amax(1).mean()) == pytest.approx(accuracy, abs=0.01)


def test_every_prototype_is_its_own_species_and_nothing_is_certain_of_a_wolf() -> None:
    posterior = creatures.posterior(prototypes())
    assert posterior.argmax(1).tolist() == list(range(K))
    assert posterior[0, 0] < 0.95
    assert posterior[0, 1] > posterior[0, 2] > posterior[0, 3] > 0


def test_a_morph_passes_through_its_stops_in_even_steps() -> None:
    stops = ("wolf", "dog", "fox", "cat")
    path = creatures.morph(stops, 31)
    assert path.shape == (31, D) and path.dtype == torch.float32
    for place, stop in zip((0, 10, 20, 30), stops, strict=True):
        torch.testing.assert_close(path[place], creatures.prototype(stop))
    expected = np.stack([np.interp(np.arange(31), [0, 10, 20, 30], MEANS[:4, d]) for d in range(D)], axis=1)
    np.testing.assert_allclose(path.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_names_and_counts_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UnknownName, match="wolf"):
        creatures.prototype("wolv")
    with pytest.raises(UnknownName):
        creatures.morph(("wolf", "unicorn"), 5)
    for stops, steps in ((("wolf",), 5), (("wolf", "cat"), 1)):
        with pytest.raises(ConfigError):
            creatures.morph(stops, steps)
    for draw in (lambda: creatures.sample_traits(-1, 0), lambda: creatures.sample_nuisance(-1, 0)):
        with pytest.raises(ConfigError):
            draw()
    traits = prototypes()
    for refused in (
        lambda: creatures.render(traits[0]),
        lambda: creatures.render(traits[:, :-1]),
        lambda: creatures.render(traits, size=0),
        lambda: creatures.render(traits, creatures.neutral_nuisance(K - 1)),
        lambda: creatures.render(traits * float("nan")),
    ):
        with pytest.raises(ConfigError):
            refused()


# Rendering


def worst_jump(path: Tensor, size: int) -> tuple[float, float]:
    """The largest change of a pixel from one frame to the next, and again with that step divided into 16.

    A fast-moving edge changes its pixels less in a smaller step; a real discontinuity is as large in any step.
    """

    def changes(traits: Tensor) -> Tensor:
        frames = creatures.render(traits, size=size).float()
        return (frames[1:] - frames[:-1]).abs().amax((1, 2, 3))

    coarse = changes(path)
    at = int(coarse.argmax())
    share = torch.linspace(0, 1, 17)[:, None]
    return float(coarse.max()), float(changes(path[at] * (1 - share) + path[at + 1] * share).max())


@pytest.mark.parametrize("size", [1, 7, 32, 100])
def test_a_picture_has_the_size_asked_for_and_uses_its_range(size: int) -> None:
    pictures = creatures.render(wild(20, 21), restless(20, 22), size=size)
    assert pictures.shape == (20, 3, size, size) and pictures.dtype == torch.uint8
    if size >= 32:
        assert pictures.min() < 40 and pictures.max() > 215
    assert creatures.render(torch.empty(0, D), size=size).shape == (0, 3, size, size)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (creatures.draw_pictures(64, seed) for seed in (31, 31, 32))
    assert torch.equal(first.images, again.images) and torch.equal(first.hard_labels, again.hard_labels)
    assert first.posterior is not None and again.posterior is not None
    assert torch.equal(first.posterior, again.posterior)
    assert not torch.equal(first.images, other.images)


def test_drawing_leaves_the_global_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    creatures.draw_pictures(8, seed=33)
    assert torch.equal(torch.rand(3), expected)


def test_pictures_are_drawn_by_one_thread_and_the_caller_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, threads that wait for each other in every small operation take many times as long."""
    seen, render = [], creatures.render

    def count(traits: Tensor, nuisance: creatures.Nuisance) -> Tensor:
        seen.append(torch.get_num_threads())
        return render(traits, nuisance)

    monkeypatch.setattr(creatures, "render", count)
    with torch_threads(3):
        creatures.draw_pictures(2, 7)
        assert (seen, torch.get_num_threads()) == ([1], 3)


def test_bytes_do_not_depend_on_what_is_drawn_together(monkeypatch: pytest.MonkeyPatch) -> None:
    traits, nuisance = wild(70, 34), restless(70, 35)
    together = creatures.render(traits, nuisance)
    alone = torch.cat([creatures.render(traits[i : i + 1], nuisance.select(slice(i, i + 1))) for i in range(70)])
    assert torch.equal(together, alone)
    monkeypatch.setattr(renderer, "_CHUNK_PIXELS", 3 * 32 * 32)
    monkeypatch.setattr(renderer, "_BLOCK", 17)
    assert torch.equal(creatures.render(traits, nuisance), together)


@pytest.mark.parametrize("size", [16, 32, 96])
def test_rows_left_out_hold_nothing_of_the_feature(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    traits, nuisance = wild(60, 36), restless(60, 37)
    # Drawn one at a time, each picture has the fewest rows that need drawing.
    quick = torch.cat([creatures.render(traits[i : i + 1], nuisance.select(slice(i, i + 1)), size) for i in range(60)])
    monkeypatch.setattr(posing.Frame, "rows", lambda frame, *bounds: slice(0, frame.x.shape[1]))
    assert torch.equal(creatures.render(traits, nuisance, size), quick)


def test_a_small_picture_is_the_mean_of_a_large_one() -> None:
    """Anti-aliasing: each pixel is the mean of the area that it covers, at any resolution."""
    traits, _ = creatures.sample_traits(48, seed=41)
    nuisance = creatures.sample_nuisance(48, seed=42)
    nuisance = dataclasses.replace(nuisance, noise=torch.zeros(48))
    small = creatures.render(traits, nuisance, 32).float()
    for size in (64, 256):
        large = creatures.render(traits, nuisance, size).float()
        apart = (torch.nn.functional.avg_pool2d(large, size // 32) - small).abs()
        assert apart.mean() < 4.0, size
        assert apart.quantile(0.99) < 40, size
    # An aliased picture, one sample a pixel, is much further away.
    aliased = creatures.render(traits, nuisance, 256)[:, :, 4::8, 4::8].float()
    exact = torch.nn.functional.avg_pool2d(creatures.render(traits, nuisance, 256).float(), 8)
    assert (small - exact).square().mean() < 0.5 * (aliased - exact).square().mean()


def test_a_small_step_in_the_morph_is_a_small_change_in_the_picture() -> None:
    path = creatures.morph(("wolf", "dog", "fox", "cat"), 301)
    frames = creatures.render(path, size=64).float()
    changes = [(frames[i + 100] - frames[i]).abs().mean() for i in (0, 100, 200)]
    assert min(changes) > 10
    assert (frames[1:] - frames[:-1]).abs().mean((1, 2, 3)).max() < 0.05 * min(changes)
    step, small_step = worst_jump(path, size=64)
    assert small_step < 0.2 * step + 2


@pytest.mark.parametrize("index", range(D), ids=[trait.name for trait in TRAITS])
def test_every_trait_shows_and_moves_the_picture_smoothly(index: int) -> None:
    trait = TRAITS[index]
    traits = prototypes().mean(0).repeat(101, 1)
    traits[:, index] = torch.linspace(trait.low, trait.high, 101)
    frames = creatures.render(traits, size=48).float()
    assert (frames[-1] - frames[0]).abs().mean() > 1
    assert (frames[1:] - frames[:-1]).abs().mean((1, 2, 3)).max() < 3
    step, small_step = worst_jump(traits, size=48)
    assert small_step < 0.2 * step + 2
    # Beyond its range a trait is drawn as the nearest end.
    beyond = traits[[0, -1]].clone()
    beyond[0, index] -= 5 * trait.spread
    beyond[1, index] += 5 * trait.spread
    assert torch.equal(creatures.render(beyond, size=48).float(), frames[[0, -1]])


def test_faces_that_look_ahead_are_symmetric_but_for_light_and_glints() -> None:
    nuisance = dataclasses.replace(creatures.neutral_nuisance(K), light=torch.zeros(K, 2))
    pictures = creatures.render(prototypes(), nuisance, 64).float()
    assert (pictures - pictures.flip(3)).abs().mean() < 1.5


def test_nuisance_is_independent_of_the_species_and_moves_the_picture() -> None:
    n = 20_000
    nuisance = creatures.sample_nuisance(n, seed=51)
    _, hard_labels = creatures.sample_traits(n, seed=52)
    fresh = creatures.draw_pictures(1, seed=52)
    assert len(nuisance) == n and len(fresh) == 1
    for value in (nuisance.yaw, nuisance.roll, nuisance.scale, nuisance.brightness, nuisance.noise):
        assert value.shape == (n,) and value.std() > 0
        groups = torch.stack([value[hard_labels == k].mean() for k in range(K)])
        assert (groups - value.mean()).abs().max() < 5 * value.std() / (n / K) ** 0.5
    same = creatures.prototype("cat").repeat(16, 1)
    pictures = creatures.render(same, nuisance.select(slice(0, 16))).float()
    assert (pictures[1:] - pictures[:1]).abs().mean((1, 2, 3)).min() > 2


def test_noise_has_the_strength_that_is_asked_for() -> None:
    quiet = creatures.neutral_nuisance(40)
    quiet = dataclasses.replace(quiet, brightness=torch.full((40,), 0.7))  # far from 0 and 255
    loud = dataclasses.replace(quiet, noise=torch.full((40,), 5.0), noise_start=torch.arange(40) * 6001)
    traits = creatures.prototype("wolf").repeat(40, 1)
    difference = creatures.render(traits, loud).float() - creatures.render(traits, quiet).float()
    assert difference.std() == pytest.approx(5.0, rel=0.1)
    assert difference.mean() == pytest.approx(0.0, abs=0.15)
    assert not torch.equal(difference[0], difference[1])


# The dataset


def test_the_splits_are_fixed_whole_and_hold_no_picture_twice() -> None:
    dataset = creatures.load()
    splits = (dataset.train, dataset.validation, dataset.test)
    assert [len(split) for split in splits] == [10_000, 2_000, 5_000]
    assert dataset.class_names == SPECIES and dataset.superclasses == SUPERCLASSES
    digest = hashlib.sha256()
    seen: set[bytes] = set()
    for split in splits:
        assert split.posterior is not None
        assert split.images.shape[1:] == (3, 32, 32) and split.images.dtype == torch.uint8
        assert split.posterior.dtype == torch.float32
        torch.testing.assert_close(split.posterior.sum(1), torch.ones(len(split)))
        digest.update(split.images.numpy().tobytes() + split.hard_labels.numpy().tobytes())
        seen |= {hashlib.sha256(picture.tobytes()).digest() for picture in split.images.numpy()}
    assert dataset.sha256 == digest.hexdigest()
    assert len(seen) == 17_000
    assert dataset.bayes_accuracy is not None and 0.76 <= dataset.bayes_accuracy <= 0.80


def test_square_roots_are_rounded_alike_on_every_processor() -> None:
    values = torch.rand(100_003, generator=torch.Generator().manual_seed(0)) * 1e4
    exact = values.double().numpy() ** 0.5  # twice the digits, then rounded once
    assert np.array_equal(sqrt_(values.clone()).numpy(), exact.astype(np.float32))
