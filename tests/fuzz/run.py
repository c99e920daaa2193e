"""Read so many changed files, in a process of its own with limited memory, and print each that ends badly.

python -m tests.fuzz.run INPUTS [FIRST [TARGET]]

It ends well if the file is read, or refused by one short line: with ``NasformerError``, or ``OSError`` of the system.
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

from nasformer.errors import NasformerError
from tests.fuzz.targets import Target, make_targets

SECONDS, MEMORY = 10, 2**30
LAST = "last-input"


class Hang(BaseException):
    """A reader takes too long."""


def _hang(*_: object) -> None:
    raise Hang


def outcome(target: Target, folder: Path, number: int) -> str | None:
    """Return what is wrong with the reading of one changed file; None: nothing."""
    rng = random.Random(f"{target.name} {number}")
    path = folder / target.name
    path.write_bytes(target.mutate(rng, target.example))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        target.read(path)
    except NasformerError as error:
        text = str(error)
        return f"message of {len(text)} characters" if len(text) > 600 else None
    except OSError:
        return None
    except BaseException as error:
        frames = [each for each in traceback.extract_tb(error.__traceback__) if "nasformer" in each.filename]
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        return f"{type(error).__name__}: {str(error)[:160]} at {where}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def failures(inputs: int, first: int = 0, only: str = "") -> Iterator[dict[str, object]]:
    """Yield the inputs that end badly, in turn over all targets."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ |= {"NASFORMER_HOME": f"{folder}/home", "ARROW_DEFAULT_MEMORY_POOL": "system"}
        (Path(folder) / "examples").mkdir()
        targets = [each for each in make_targets(Path(folder) / "examples") if only in each.name]
        for target in targets:  # the examples are valid, and libraries are loaded before memory is limited
            (Path(folder) / target.name).write_bytes(target.example)
            target.read(Path(folder) / target.name)
        _limit_memory()
        for number in range(first, first + inputs):
            target, work = targets[number % len(targets)], Path(folder) / "work"
            work.mkdir()
            Path(LAST).write_text(f"{target.name} {number}")
            if (wrong := outcome(target, work, number)) is not None:
                yield {"target": target.name, "number": number, "wrong": wrong}
            shutil.rmtree(work)


def _limit_memory() -> None:
    """Allow a GiB beyond what the process has now; address space that threads reserve does not count."""
    (used,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line)
    most = int(used) * 1024 + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGALRM, _hang)
    inputs, first, only, *_ = [*sys.argv[1:], *("0", "")[len(sys.argv) - 2 :]]
    for found in failures(int(inputs), int(first), only):
        print(json.dumps(found), flush=True)
