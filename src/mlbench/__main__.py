"""`python -m mlbench`: the same command as `mlbench`."""

from mlbench.commands import main

if __name__ == "__main__":
    main()
