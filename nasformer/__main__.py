"""``python -m nasformer``: the command line."""

from nasformer.cli import main

if __name__ == "__main__":
    main()
