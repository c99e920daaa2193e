"""Study: persistent trials of a search on an Optuna storage, shared by processes.

``storage`` opens a storage URL and provides exclusive transactions, implemented in ``journal`` and ``database``.
``workers`` detects dead workers. ``study`` builds on them: trials are proposed, claimed, told. ``exchange``
exports and imports studies.
"""

from nasformer.search.study.exchange import delete_study, export_study, import_study, read_lines
from nasformer.search.study.parameters import as_architecture, as_parameters, distributions
from nasformer.search.study.settings import FORMAT, find
from nasformer.search.study.storage import Store, quiet, shown
from nasformer.search.study.study import Study

__all__ = [
    "FORMAT",
    "Store",
    "Study",
    "as_architecture",
    "as_parameters",
    "delete_study",
    "distributions",
    "export_study",
    "find",
    "import_study",
    "quiet",
    "read_lines",
    "shown",
]
