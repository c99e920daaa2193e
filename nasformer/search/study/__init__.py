"""Study: the record of a search on an Optuna storage, which several processes share and which outlives them.

``storage`` opens what a URL names and makes a change exclusive; ``journal`` and ``database`` say how. ``workers``
tells the living from the dead. ``study`` puts them together: trials are proposed, claimed, told. ``exchange``
carries a study to another storage.
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
