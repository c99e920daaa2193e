"""Parts of ``benchmarks/diagnosis.py``: are the winners of a supernet better than networks alone, at equal compute?

``plan`` says how much compute the winners get; ``measure`` runs ``trainings`` and compares with ``rivals``; ``chapter``
tests the claims and presents the result on the page of a diagnosis.
"""

from benchmarks._equal_compute.chapter import chapter, claims, describe
from benchmarks._equal_compute.measure import compute
from benchmarks._equal_compute.plan import EqualComputePlan as EqualComputePlan
from nasformer.diagnose.diagnosis import PIECES as OWN
from nasformer.diagnose.piece import Piece

_SIZES = ("search_images", "budgets", "recipe", "finetuning", "share", "evaluations", "seeds")

PIECES = {**OWN, "compute": Piece("Equal compute", _SIZES, compute, chapter, claims, describe)}
"""The pieces of a diagnosis, and equal compute."""
