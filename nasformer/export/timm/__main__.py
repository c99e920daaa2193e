"""``python -m nasformer.export.timm SCRIPT ARGUMENTS``: run a script, such as timm's own, with our models registered.

Importing the package registers the models, once and under their own module names. The script then runs as with
``python SCRIPT ARGUMENTS``: as ``__main__``, with its folder on the path.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from nasformer.errors import NasformerError

USAGE = "usage: python -m nasformer.export.timm SCRIPT ARGUMENTS, e.g. timm's train.py or validate.py and its arguments"


def main() -> int:
    """Run the script of the command line; return 2 after a one-line error."""
    arguments = sys.argv[1:]
    if arguments[:1] in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if not arguments:
        return _fail(USAGE)
    if not Path(arguments[0]).is_file():
        return _fail(f"error: there is no script {arguments[0]}; timm's are in its repository, not in its wheel")
    sys.argv[:] = arguments
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except NasformerError as error:
        return _fail(f"error: {error}")
    return 0


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
