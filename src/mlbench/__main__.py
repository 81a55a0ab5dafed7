"""`python -m mlbench`: the same front door as run.py."""

from mlbench.cli import main

if __name__ == "__main__":
    main()
