"""One line that names the device, the datasets and the teachers that are ready for use on this machine."""

from __future__ import annotations

from pages.ui.engine import cache
from pages.ui.session.i18n import _, ngettext


def sentence() -> str:
    """Return a line with the device, its precision and threads, the datasets and the teachers of this machine."""
    device = cache.device()
    ready = [status.name for status in cache.dataset_statuses() if status.ready]
    teachers = [card.name for card in cache.teacher_cards()]
    return _("Ready on this machine: {device}, {precision}, {threads} · data: {data} · teachers: {teachers}").format(
        device=device.name,
        precision=device.precision,
        threads=ngettext("{n} thread", "{n} threads", device.threads).format(n=device.threads),
        data=", ".join(ready) or _("none"),
        teachers=", ".join(teachers) or _("none"),
    )
