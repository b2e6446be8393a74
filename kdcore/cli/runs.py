"""The commands about stored runs: find, show, compare, tag, export, delete and restore them."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from kdcore.cli import text
from kdcore.cli.answer import Answer, file_error_reason
from kdcore.errors import ConfigError, UnknownName
from kdcore.reports import export as report_export
from kdcore.reports.comparison import compare as compare_runs
from kdcore.reports.selection import SORTS, STATUSES, Selection, select
from kdcore.store import Store
from kdcore.store.tags import clean_tag, clean_tags
from kdcore.teachers.ensemble_names import normal_name


def find(options: Namespace) -> Answer:
    if options.status not in (None, *STATUSES):
        raise UnknownName("status", options.status, STATUSES)
    if options.sort not in SORTS:
        raise UnknownName("order", options.sort, SORTS)
    if options.limit < 1:
        raise ConfigError(f"--limit must be a whole number from 1, not {options.limit}.")
    names = ("dataset", "teacher", "student", "status", "tag", "text", "sort")
    selection = Selection(**{name: getattr(options, name) for name in names})
    if selection.teacher is not None:
        selection = replace(selection, teacher=normal_name(selection.teacher))
    with Store() as store:
        rows = store.list_runs(limit=None, deleted=options.deleted, whole_results=False)
    summaries = [report_export.summary(row) for row in select(rows, selection)[: options.limit]]
    if rows and not summaries:
        return Answer({"runs": []}, f"None of the {len(rows)} runs matches; kdcore runs lists them.")
    return Answer({"runs": summaries}, text.runs(summaries, deleted=options.deleted))


def show(options: Namespace) -> Answer:
    with Store() as store:
        row = store.run(options.id)
    data = {**report_export.summary(row), "result": row.result}
    run_text = text.result(row.result) if row.result else text.runs([data], with_error=True)
    return Answer(data, "\n".join([run_text, *text.tags_and_parent(row.tags, row.parent)]))


def compare(options: Namespace) -> Answer:
    ids = list(dict.fromkeys(options.id))
    if len(ids) < 2:
        raise ConfigError("A comparison takes two runs or more; give their ids, which kdcore runs lists.")
    with Store() as store:
        comparison = compare_runs([store.run(run_id) for run_id in ids])
    return Answer(comparison.to_json(), text.comparison(comparison))


def tag(options: Namespace) -> Answer:
    removed = {clean_tag(word).casefold() for word in options.remove}
    with Store() as store:
        before = store.run(options.id).tags
        missing = removed - {word.casefold() for word in before}
        if missing:
            has = f"it has: {', '.join(before)}" if before else "it has none"
            raise ConfigError(f'Run {options.id} does not carry the tag "{min(missing)}"; {has}.')
        tags = before
        if options.word or removed:
            added = clean_tags(options.word)

            def change(current: tuple[str, ...]) -> tuple[str, ...]:
                return tuple(word for word in current if word.casefold() not in removed) + added

            tags = store.change_tags(options.id, change)
    return Answer({"run_id": options.id, "tags": list(tags)}, ", ".join(tags) or f"Run {options.id} has no tags.")


def export(options: Namespace) -> Answer:
    with Store() as store:
        row = store.run(options.id)
        events = store.events(row.id)
    written = report_export.export_text(row, events, options.format)
    if not options.out:
        return Answer(report_export.run_data(row, events), written)
    try:
        with Path(options.out).open("w" if options.force else "x", encoding="utf-8", newline="") as file:
            file.write(written.rstrip("\n") + "\n")
    except FileExistsError as error:
        raise ConfigError(f"{options.out} exists; choose another file, or overwrite it with --force.") from error
    except (OSError, ValueError) as error:  # ValueError: the name contains a zero byte
        reason = file_error_reason(error)
        raise ConfigError(f"{options.out} cannot be written ({reason}); choose another file.") from error
    return Answer({"run_id": row.id, "format": options.format, "out": options.out}, f"Written to {options.out}.")


def delete(options: Namespace) -> Answer:
    with Store() as store:
        store.delete(options.id)
    sentence = f"Run {options.id} is deleted; kdcore runs undelete {options.id} restores it for some days."
    return Answer({"run_id": options.id, "deleted": True}, sentence)


def undelete(options: Namespace) -> Answer:
    with Store() as store:
        store.undelete(options.id)
    return Answer({"run_id": options.id, "deleted": False}, f"Run {options.id} is restored.")
