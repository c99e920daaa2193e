"""Strategies: one search algorithm per file, named by the file.

``strategies/my_idea.py`` is the strategy ``my-idea``. The folder installs as ``nasformer.strategies``
through a link; nothing is imported here, so that listing the names stays cheap.
"""

if __name__ != "nasformer.strategies":  # a second copy of every class, under another name
    raise ImportError(
        f"{__name__!r} is the folder of nasformer's strategies: write 'import nasformer.strategies' instead"
    )
