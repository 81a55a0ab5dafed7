"""Runs through one of Hydra's launchers, as `run.py -m` would."""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig

from mlbench.compose import chosen_names, config_dir
from mlbench.errors import tell
from mlbench.runs.job import execute
from mlbench.runs.run import Run


def launch(todo: Sequence[Run], launcher: list[str]) -> None:
    """`launcher` holds overrides of Hydra's, such as hydra/launcher=joblib."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(config_dir()), version_base="1.3"):
        config = compose("config", overrides=[*launcher, "hydra.mode=MULTIRUN"], return_hydra_config=True)
        context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=Callbacks())
        HydraConfig.instance().set_config(config)
        chosen = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=job, config=config
        )
        chosen.launch([list(run.overrides) for run in todo], initial_job_idx=0)


def job(composed: DictConfig) -> None:
    """One run, in whatever process the launcher started."""
    chosen = chosen_names(HydraConfig.get().runtime.choices, composed)
    try:
        execute(composed, chosen)
    except Exception as error:
        tell(error)
