"""Stop without an error when the loss is no longer a number."""

from __future__ import annotations

from fastann.callbacks.base import Callback, Logs


class TerminateOnNaN(Callback):
    """End training at the first batch whose loss is NaN or infinite.

    The epoch ends before that batch's update, so the weights stay usable; `History` shows the loss. Needs no call for
    every batch.

    Args:
        raise_error: raise RuntimeError instead of ending `fit` in the ordinary way.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_nonfinite_loss(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if self.raise_error:
            raise RuntimeError(f"the loss of batch {batch} is {loss}; training ends here, as TerminateOnNaN was told.")
        print(f"Batch {batch}: the loss is {loss}, terminating training")
        self.model.stop_training = True
