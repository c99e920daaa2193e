"""Study: the persistent trials of a search on an Optuna storage.

``storage`` opens a storage, ``leader`` is the lock of the one process that runs a study, ``journal`` that of a journal
file, ``journal_file`` its entries. ``study`` builds on them; ``trials`` and ``parameters`` are its encoding, and
``schema`` what is accepted; ``exchange`` exports and imports.
"""

from nasformer.search.study.exchange import delete_study, export_study, import_study, read_lines
from nasformer.search.study.journal_file import repair as repair_journal
from nasformer.search.study.parameters import as_architecture, as_parameters, distributions
from nasformer.search.study.settings import FORMAT, find
from nasformer.search.study.storage import Store, quiet, shown
from nasformer.search.study.study import Storage, Study
from nasformer.search.study.trials import state_of

__all__ = [
    "FORMAT",
    "Storage",
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
    "repair_journal",
    "shown",
    "state_of",
]
