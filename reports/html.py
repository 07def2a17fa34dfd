"""The page: what was found, and the sections that say how and from what, in one file that works offline."""

from collections.abc import Sequence

from reports.answer import Answer
from reports.sections import Section
from reports.templating import render, shown


def page(names: Sequence[str], answers: Sequence[Answer], sections: Sequence[Section]) -> str:
    """The whole page as HTML; every value is escaped by the template, pictures are embedded.

    `names` are those of the searches.
    """
    return render(
        "page.html.j2",
        names=names,
        answers=answers,
        sections=[shown(section) for section in sections],
    )
