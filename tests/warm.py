"""For the process that commands are forked from: Hydra has put the default choices together there."""

from mlbench.compose import configure

configure([])
