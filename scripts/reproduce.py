"""Rebuilds a published table: python scripts/reproduce.py table=ant/2. See --help."""

import sys

from mlbench.tables.command import main

sys.exit(main())
