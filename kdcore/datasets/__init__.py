"""Every source of labelled pictures, and the registry that knows them by name."""

from kdcore.datasets.base import Dataset, DatasetInfo, DatasetStatus, Split
from kdcore.datasets.registry import (
    DATASETS,
    add_dataset,
    dataset_info,
    dataset_status,
    fetch_dataset,
    keep_dataset,
    list_datasets,
    load_dataset,
    load_extra_pictures,
    remove_dataset,
)
from kdcore.machine.download import FetchProgress

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetInfo",
    "DatasetStatus",
    "FetchProgress",
    "Split",
    "add_dataset",
    "dataset_info",
    "dataset_status",
    "fetch_dataset",
    "keep_dataset",
    "list_datasets",
    "load_dataset",
    "load_extra_pictures",
    "remove_dataset",
]
