"""Rebuilds a published table: python scripts/reproduce.py table=ant/2. See --help."""

import sys

from mlbench.tables.command import main

if __name__ == "__main__":  # processes=2 starts others, which import this file
    sys.exit(main())
