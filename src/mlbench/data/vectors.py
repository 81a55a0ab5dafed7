"""The names that data.rows had before."""

from mlbench.data.rows import Batch, order  # noqa: F401
from mlbench.data.rows import Rows as Vectors  # noqa: F401
from mlbench.data.sparse import SparseRows, sparse_rows  # noqa: F401
