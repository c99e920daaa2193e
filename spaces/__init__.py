"""Spaces: one declared search space per YAML file, named by the file.

``spaces/my-space.yaml`` is the space ``my-space``. The folder installs as ``nasformer.spaces``
through a link; ``nasformer.load_space`` reads it.
"""

if __name__ != "nasformer.spaces":
    raise ImportError(f"{__name__!r} is the folder of nasformer's spaces: write 'import nasformer.spaces' instead")
