"""Check that a run can be trained on this machine before it enters the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.errors import ConfigError, DatasetUnavailable, UnknownName
from kdcore.teachers.card import teachers_by_name
from kdcore.teachers.ensemble_names import is_ensemble, members_of

if TYPE_CHECKING:
    from kdcore.settings.config import RunConfig


def check_can_run(config: RunConfig) -> None:
    """Refuse a configuration that a worker would refuse, before a run is stored.

    Raises:
        ConfigError: the configuration is not legal, or names a teacher that does not fit its dataset.
        UnknownName: the configuration names a teacher that does not exist.
        DatasetUnavailable: the dataset is not on this machine.
    """
    # These load torch, which takes seconds.
    from kdcore.datasets import dataset_info, dataset_status
    from kdcore.machine.device import pick_device
    from kdcore.settings.defaults import DEFAULTS, instead_of
    from kdcore.settings.extra_pictures import OWN
    from kdcore.settings.stages import stages_of
    from kdcore.settings.sweeps import points, teachers_of
    from kdcore.teachers.building.catalog import dataset_of
    from kdcore.teachers.building.on_demand import must_be_trained
    from kdcore.teachers.ensembles import ensemble_card
    from kdcore.teachers.fit import check_shape

    config = config.validate()
    if config.device == "cuda":
        pick_device(config.device)
    status = dataset_status(config.dataset)
    if not status.ready:
        raise DatasetUnavailable(status.needs)
    if config.extra_pictures not in ("", OWN) and not (other := dataset_status(config.extra_pictures)).ready:
        raise DatasetUnavailable(other.needs)
    cards = teachers_by_name()
    teacher_datasets = {name: card.dataset for name, card in cards.items()}
    shown = (config.dataset, dataset_info(config.dataset).image_shape)
    for teacher in teachers_of(config):
        learned_dataset = dataset_of(teacher)  # also known for a teacher that is still to be trained
        if learned_dataset is None:
            unknown = next(member for member in members_of(teacher) if dataset_of(member) is None)
            raise UnknownName("teacher", unknown, teacher_datasets)
        by_kind = config.dataset in DEFAULTS and teacher == DEFAULTS[config.dataset].teacher
        if learned_dataset != config.dataset and by_kind:
            continue
        if learned_dataset != config.dataset:
            fitting = [name for name, dataset in teacher_datasets.items() if dataset == config.dataset]
            instead = f"choose one of: {', '.join(fitting)}" if fitting else instead_of(teacher, config.dataset)
            raise ConfigError(
                f'The teacher "{teacher}" learned {learned_dataset} and cannot teach {config.dataset}; {instead}.'
            )
        if is_ensemble(teacher) and teacher_datasets.keys() >= set(members_of(teacher)):
            check_shape(ensemble_card(teacher), *shown, instead_of(teacher, config.dataset))
        elif teacher in cards and not must_be_trained(teacher):
            check_shape(cards[teacher], *shown, instead_of(teacher, config.dataset))
    for point in points(config):
        stages_of(point.config)  # raises if the method's stages cannot be trained
