"""``nasformer study delete``: remove a study from its storage."""

from __future__ import annotations

from typing import Annotated

import typer

from nasformer.cli.options import Storage, StudyName
from nasformer.cli.output import console
from nasformer.errors import StudyError


def delete(
    storage: Storage,
    study: StudyName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm the deletion.")] = False,
) -> None:
    """Delete a study and its trials; other studies of the storage are kept.

    Examples:
      nasformer study delete --storage digits.log --study old --yes
    """
    from nasformer.search.study import Store, delete_study, find

    store = Store(storage, create=False)
    name, _ = find(store, study)
    if not yes:
        raise StudyError(
            f"study {name!r} in {store.name!r} would be deleted with all its trials; confirm with --yes", name
        )
    delete_study(store, name)
    console.print(f"deleted {name} from {store.name}", soft_wrap=True)
