"""The commands about datasets: list them, fetch one, show its contents, and add or remove one's own."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdcore.cli import text
from kdcore.cli.answer import Answer, follow_download, progress

FACTS = ("title", "source", "embedded", "num_classes", "train_size", "image_shape", "download_bytes", "description")


def datasets(options: Namespace) -> Answer:
    from kdcore.datasets import list_datasets  # loads torch, which takes seconds

    rows = [_dataset_row(info.name) for info in list_datasets()]
    cells = [
        [r["name"], "ready" if r["ready"] else "not here", r["num_classes"], r["train_size"], _size(r), r["source"]]
        for r in rows
    ]
    table = text.table(("dataset", "state", "classes", "training pictures", "download", "source"), cells)
    return Answer({"datasets": rows}, "\n".join([table, *(r["needs"] for r in rows if r["needs"])]))


def get(options: Namespace) -> Answer:
    from kdcore.datasets import fetch_dataset  # loads torch, which takes seconds

    follow_download(fetch_dataset(options.name))
    row = _dataset_row(options.name)
    return Answer(row, f"{row['name']} is ready ({row['where']}).")


def show(options: Namespace) -> Answer:
    from kdcore.datasets import load_dataset  # loads torch, which takes seconds

    dataset = load_dataset(options.name)
    counts = {
        split: getattr(dataset, split).hard_labels.bincount(minlength=dataset.num_classes).tolist()
        for split in ("train", "validation", "test")
    }
    data = _dataset_row(options.name) | {"sha256": dataset.sha256, "class_names": dataset.class_names, "counts": counts}
    rows = [(name, *(counts[split][i] for split in counts)) for i, name in enumerate(dataset.class_names)]
    rows.append(("all", *(sum(counts[split]) for split in counts)))
    return Answer(data, "\n".join([text.table(("class", *counts), rows), f"sha256 {dataset.sha256}"]))


def add(options: Namespace) -> Answer:
    # These load torch, which takes seconds.
    from kdcore.datasets import add_dataset
    from kdcore.teachers.building.catalog import is_teacher_name

    with progress() as line:

        def on_progress(done: int, total: int) -> None:
            if done % 50 == 0 or done == total:
                line(f"{done} of {total} pictures")

        source = Path(options.path)
        info = add_dataset(source, options.name, options.size, on_progress, is_teacher_name=is_teacher_name)
    return Answer(_dataset_row(info.name), f"{info.name} is ready: {info.description} kdcore run --dataset {info.name}")


def remove(options: Namespace) -> Answer:
    from kdcore.datasets import remove_dataset  # loads torch, which takes seconds

    remove_dataset(options.name)
    return Answer({"removed": options.name}, f"{options.name} is removed; its picture files stay where they are.")


def _dataset_row(name: str) -> dict[str, Any]:
    from kdcore.datasets import dataset_info, dataset_status  # loads torch, which takes seconds

    info = dataset_info(name)
    return asdict(dataset_status(name)) | {fact: getattr(info, fact) for fact in FACTS}


def _size(row: dict[str, Any]) -> str:
    return "" if row["ready"] or row["download_bytes"] is None else f"{row['download_bytes'] / 1e6:.0f} MB"
