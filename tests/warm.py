"""For the process that commands are forked from. What most of them would make again is there: the choices of
many tests, put together by Hydra, the default method's sources and the libraries' versions. No name in the
choices counts as named by a command.
"""

from mlbench import trust
from mlbench.compose import configure
from mlbench.results.code import code_of
from mlbench.results.record import versions

code_of(configure([]))
versions()
for often in (["dataset=csv"], ["dataset=csv", "split=official"]):
    configure([*often, f"dataset.path={__file__}", f"dataset.test={__file__}"])
trust.named.clear()
