"""What the tests of methods share: the references that stand beside them."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # for transfer_reference.py
