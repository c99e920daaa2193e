"""Parts of ``benchmarks/checkpoint.py``: cutting a trained vision transformer, by us and by others."""
