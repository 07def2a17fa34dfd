"""Which sections the report has, in the order in which they are read."""

from collections.abc import Callable
from pathlib import Path

from reports.ablation.page import ablation_section
from reports.error_tables import errors_section, published_section
from reports.failures import failures_section
from reports.figures import figures_section
from reports.load import Results
from reports.mae_table import MaeTable
from reports.model_report.page import model_section
from reports.protocol import protocol_section
from reports.provenance import provenance_section
from reports.search.page import search_section
from reports.sections import Section

# Each is given what was read, the table, and the folder of the figures; None where it has nothing to say.
SECTIONS: tuple[Callable[[Results, MaeTable, Path], Section | None], ...] = (
    errors_section,
    published_section,
    figures_section,
    model_section,
    ablation_section,
    search_section,
    protocol_section,
    failures_section,
    provenance_section,
)


def contents(results: Results, table: MaeTable, figures: Path) -> list[Section]:
    """The sections of a report; draws their figures into the folder `figures`, which must be there."""
    made = [make(results, table, figures) for make in SECTIONS]
    return [section for section in made if section is not None]
