"""Teaching the collected classes: the button, the dataset that is made of them, and the run that is started."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from kdcore.errors import KdError
from kdcore.machine import paths
from pages.ui.engine import cache
from pages.ui.frame.page_parts import errors_as_sentences
from pages.ui.kit import formats
from pages.ui.own_classes import collection as own
from pages.ui.own_classes import words
from pages.ui.own_classes.collect_panels import collection
from pages.ui.own_classes.collection import Collection
from pages.ui.run import panels as run_panels
from pages.ui.session.i18n import _
from pages.ui.settings_form import extra_form


def draw_teaching(extra_place: DeltaGenerator) -> None:
    """Draw what is still missing, what happens to the pictures, and the button *Teach*.

    Args:
        extra_place: where to draw the choice of pictures without labels.
    """
    from kdcore.datasets.splits import MIN_CLASS_PICTURES  # loads torch, which takes seconds

    current = collection()
    missing = own.problems(current, MIN_CLASS_PICTURES)
    started = any(one.pictures for one in current.classes)
    with extra_place:
        extra = _pick_extra(current)
    if missing and started:
        st.info(formats.as_markdown(missing[0]), icon=":material/info:")
    elif missing:
        st.info(
            _("Give each class at least {n} pictures; ten are better.").format(n=MIN_CLASS_PICTURES),
            icon=":material/image:",
        )
    button, note = st.columns((1, 4), gap="medium", vertical_alignment="center")
    note.caption(formats.as_markdown(words.privacy_sentence(str(paths.home()))))
    clicked = button.button(
        _("Teach"), type="primary", key="own_teach", disabled=bool(missing), icon=":material/school:", width="stretch"
    )
    if clicked:
        with errors_as_sentences():
            teach(current, extra)
            st.rerun()


def _pick_extra(current: Collection) -> str:
    """Let the visitor choose which pictures without labels the distilled student learns from besides its own."""
    from kdcore.settings.extra_pictures import OWN  # loads torch, which takes seconds

    names = {OWN: _("yours"), "": _("none")}
    options = [*([OWN] if current.extra else []), "", *extra_form.offered_datasets()]
    if len(options) == 1:
        return options[0]
    return st.segmented_control(
        _("Which of them the distilled student sees"), options, default=options[0], required=True,
        format_func=lambda name: names.get(name, name), key=f"own_extra_{'own' if current.extra else 'none'}",
    )  # fmt: skip


def teach(current: Collection, extra: str) -> None:
    """Make a dataset of the collected pictures and start a run on it; the URL then names the run.

    Args:
        extra: which pictures without labels the distilled student learns from, as in `RunConfig.extra_pictures`.

    Raises:
        KdError: the pictures cannot be used, or the run cannot be started; then no dataset is left behind.
    """
    # These load torch, which takes seconds.
    from kdcore.datasets import remove_dataset
    from kdcore.datasets.given import GivenPicture, add_given
    from kdcore.settings.config import make_run_config

    bar = st.progress(0.0, text=_("Reading the pictures…"))
    added = add_given(
        None,
        {one.name: [GivenPicture(picture.name, picture.png) for picture in one.pictures] for one in current.classes},
        [GivenPicture(picture.name, picture.png) for picture in current.extra],
        progress=lambda done, total: bar.progress(min(1.0, done / max(1, total)), text=_("Reading the pictures…")),
    )
    cache.clear_dataset_cache()
    try:
        run_panels.start(make_run_config(added.name, extra_pictures=extra or None))
    except KdError:
        remove_dataset(added.name)
        cache.clear_dataset_cache()
        raise
