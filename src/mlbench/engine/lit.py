"""The one LightningModule: any method, as Lightning drives it.

The engine's loop hands it to Fabric. A plain `lightning.Trainer` takes it as well, with a loader of batches.
"""

from typing import Any

from torch import Tensor

from mlbench.data.rows import Batch
from mlbench.engine.lightning import LightningModule
from mlbench.engine.plan import Plan, Schedule, build_optimizer, groups_of
from mlbench.errors import UserError
from mlbench.methods.base import Learner, hooks_of


class Lit(LightningModule):
    """A Trainer builds the optimiser from `plan`; Fabric gets one that is built already."""

    def __init__(self, module: Learner, plan: Plan | None = None, steps: int = 1):
        super().__init__()
        self.module, self.plan, self.steps = module, plan, steps
        self.hooks = hooks_of(module)

    def training_step(self, batch: Batch, index: int = 0) -> Tensor:
        loss = self.module.loss(batch)
        if getattr(loss, "shape", None) != ():
            kind = f"tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise UserError(
                f"{type(self.module).__name__}.loss gave a {kind}, and is to give one number, a tensor of "
                "shape ()"
            )
        return loss

    def configure_optimizers(self) -> Any:
        assert self.plan is not None, "a Trainer needs the stage's plan"
        optimizer = build_optimizer(self.plan.optimizer, self.groups(self.plan))
        scheduler = Schedule(optimizer, self.plan, self.steps).scheduler
        when = {"scheduler": scheduler, "interval": self.plan.train.schedule_every}
        return {"optimizer": optimizer} | ({"lr_scheduler": when} if scheduler else {})

    def groups(self, plan: Plan) -> list[dict[str, Any]]:
        """The optimiser's groups of trained parameters."""
        return [
            group | {"params": [self.module.get_parameter(name) for name in group["params"]]}
            for group in groups_of(self.module, plan)
        ]

    def on_train_epoch_start(self) -> None:
        epochs = self.trainer.max_epochs
        assert epochs is not None, "a Trainer that fits has a number of them"
        self.call("begin_epoch", self.current_epoch, epochs)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.call("before_step")

    def on_train_batch_end(self, *_: Any) -> None:
        self.call("after_step")

    def call(self, hook: str, *arguments: int) -> None:
        """Calls a hook if the module has it."""
        if hook in self.hooks:
            self.hooks[hook](*arguments)
