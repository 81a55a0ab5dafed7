"""Fast compositions by Hydra. Hydra takes a fifth of a second to compose the files of choices: a process
composes them once, and writes values into copies. Other choices reuse the files that were read before.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

together: dict[tuple[Any, ...], DictConfig] = {}  # compositions by their choices
files: dict[tuple[str, ...], ConfigResult] = {}  # the files that Hydra has read


class Repository(ConfigRepository):
    """Hydra's own, in which a file is read once."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        name = (*(source.path for source in self.sources), config_path)
        if name not in files:
            if (loaded := super().load_config(config_path)) is None:
                return None
            files[name] = loaded
        return copy.deepcopy(files[name])


class Loader(ConfigLoaderImpl):
    """Hydra's own, asked for the same choices once."""

    def __init__(self, config_search_path: ConfigSearchPath):
        super().__init__(config_search_path)
        self.repository = Repository(config_search_path)

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        words = OverridesParser.create().parse_overrides(overrides)
        load = super().load_configuration
        if any(word.is_sweep_override() for word in words):
            return load(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        values = [word for word in words if _is_value(word)]
        choosing = [str(word.input_line) for word in words if not _is_value(word)]
        folders = (str(part.path) for part in self.config_search_path.get_path())
        name = (*folders, config_name, run_mode, *choosing)
        if name not in together:
            together[name] = load(config_name, choosing, run_mode, from_shell)
        config = copy.deepcopy(together[name])
        self._apply_overrides_to_config(values, config)
        _tell(config, words)
        return config


def _is_value(word: Override) -> bool:
    """Whether the word sets a value of the tree and chooses no file: no group has a point in its name."""
    if word.package or word.is_delete() or word.key_or_group in ("hydra.searchpath", "hydra.job.env_copy"):
        return False
    return word.key_or_group == "seed" or "." in word.key_or_group


def _tell(config: DictConfig, words: list[Override]) -> None:
    """Hydra's part of the tree says which words were given, and where."""
    of_task = [word for word in words if not word.is_hydra_override()]
    config.hydra.overrides.task = [word.input_line for word in of_task]
    config.hydra.overrides.hydra = [word.input_line for word in words if word.is_hydra_override()]
    config.hydra.runtime.cwd = str(Path.cwd())
    form = config.hydra.job.config.override_dirname
    config.hydra.job.override_dirname = get_overrides_dirname(
        of_task, form.exclude_keys, form.item_sep, form.kv_sep
    )


def _hydra(folder: Path) -> Hydra:
    version.setbase("1.3")
    return Hydra("run", Loader(create_config_search_path(str(folder))))


def tree_of(folder: Path, overrides: list[str]) -> tuple[DictConfig, dict[str, str | None]]:
    """The tree of `overrides` and of the files in `folder`, and the choice of each group."""
    config = _hydra(folder).compose_config("config", overrides, RunMode.RUN, from_shell=False)
    chosen = dict(config.hydra.runtime.choices)
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    OmegaConf.set_struct(config, True)
    return config, chosen


def start(folder: Path, task: Callable[[DictConfig], Any], words: list[str], many: bool) -> None:
    """As hydra.main for a command line without options, which composes once more to ask for the mode."""
    hydra = _hydra(folder)
    GlobalHydra.instance().clear()
    GlobalHydra.instance().initialize(hydra)
    try:
        if many:
            hydra.multirun("config", task, [*words, "hydra.mode=MULTIRUN"])
        else:
            hydra.run("config", task, words)
    finally:
        GlobalHydra.instance().clear()
