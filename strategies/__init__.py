"""Strategies: one search algorithm per file, named by the file.

``strategies/my_idea.py`` is the strategy ``my-idea``. A symbolic link installs the folder as
``nasformer.strategies``; nothing is imported here, so listing names stays cheap.
"""

if __name__ != "nasformer.strategies":  # a second copy of every class, under another name
    raise ImportError(
        f"{__name__!r} is the folder of nasformer's strategies: write 'import nasformer.strategies' instead"
    )
