"""``nasformer study repair``: keep what is whole of a damaged journal."""

from __future__ import annotations

from nasformer.cli.options import Storage
from nasformer.cli.output import console
from nasformer.errors import StudyError


def repair(storage: Storage) -> None:
    """Keep what is whole of a damaged journal; the damaged file stays beside it.

    'nasformer study run' evaluates lost trials again.

    Examples:
      nasformer study repair --storage digits.log
    """
    from nasformer.search.study import Store, repair_journal

    store = Store(storage, create=False)
    if store.journal is None:
        raise StudyError(f"storage {store.name!r} is no journal file; databases have tools of their own", storage)
    damaged, backup = repair_journal(store.journal)
    if not damaged:
        console.print(f"{store.name} is whole", soft_wrap=True)
        return
    lines = ", ".join(map(str, damaged[:20])) + (" …" if len(damaged) > 20 else "")
    console.print(
        f"{len(damaged)} damaged lines of {store.name}: {lines}; the damaged file is {backup}", soft_wrap=True
    )
