"""Extra pictures: pictures without labels from which the distilled student learns too, by its teacher's soft labels."""

from __future__ import annotations

from kdcore.datasets import DatasetInfo, dataset_info
from kdcore.errors import ConfigError
from kdcore.methods.registry import find_method

OWN = "own"  # the extra pictures that are kept with the run's own dataset
MOST_EXTRA = 250  # so many are used at most, because a large teacher needs about a second for fifty of them


def check_extra_pictures(extra: object, info: DatasetInfo, method: str, controls: tuple[str, ...]) -> None:
    """Refuse extra pictures that a run on a dataset cannot use.

    Args:
        extra: as in `RunConfig`.
        info: the run's dataset.

    Raises:
        ConfigError: they are not there, have other channels, or the run's method or controls have no use for them.
        UnknownName: no dataset has this name.
    """
    if extra == "":
        return
    if not isinstance(extra, str):
        raise ConfigError(f"Extra pictures are {OWN} or the name of a dataset, not {extra!r}.")
    if controls or not find_method(method).needs_logits_only:
        raise ConfigError(
            "Extra pictures have a teacher's soft labels only, so they need a method that learns from these alone, "
            "such as kd, and a run without controls; choose that, or leave the extra pictures out."
        )
    if extra == OWN:
        if not info.extra_size:
            raise ConfigError(f"{info.name} has no extra pictures of its own; name a dataset, or leave them out.")
        return
    other = dataset_info(extra)
    if extra == info.name or other.image_shape[0] != info.image_shape[0]:
        raise ConfigError(
            f"Extra pictures come from another dataset with the same channels, and {extra} cannot give any to "
            f"{info.name}; choose one such as animals64 or cifar10, or leave them out."
        )


def extra_count(extra: str, info: DatasetInfo) -> int:
    """Return how many extra pictures a run uses at most; copies of its validation and test pictures are left out.

    Args:
        extra: as in `RunConfig`.
        info: the run's dataset.
    """
    if not extra:
        return 0
    return min(MOST_EXTRA, info.extra_size if extra == OWN else dataset_info(extra).train_size)
