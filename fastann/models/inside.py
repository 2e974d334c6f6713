"""What the layers of a model put out, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from fastann_kernels.backend import HostState, get_backend
from numpy.typing import NDArray

from fastann.lowering import lower
from fastann.models.graph import LayerGraph
from fastann.training.preparing import without_targets

if TYPE_CHECKING:
    from fastann.models.model import Model

Array = NDArray[Any]

#: Rows that go through the network together.
_BATCH = 256


def layer_outputs(model: Model, x: Any, names: Sequence[str] | None = None) -> dict[str, Array]:
    """Return what layers put out for rows of data, as they do in `predict`.

    Args:
        model: any kind; it is not changed.
        x: rows, as for `predict`.
        names: names of layers; by default every layer but the inputs. A layer that is used several times gives what it
            put out first.

    Returns:
        Arrays (N, *shape of the layer's output) by name, in the order asked for.

    Raises:
        ValueError: the model has no layer of that name, or the data do not fit.
    """
    session, data = without_targets(model, x)
    graph = model.graph
    if names is None:
        names = list(dict.fromkeys(node.name for node in graph.nodes if node.inputs))
    numbers = tuple(graph.number(name) for name in names)
    program = lower(LayerGraph(graph.nodes, numbers))
    executor = get_backend(session.backend).executor(program, session.precision)
    state = executor.put_state(HostState(session.state.params, np.zeros((0, program.parameter_count), session.dtype)))
    packed = executor.predict(state, data.matrix(session.dtype), _BATCH)
    ends = np.cumsum([program.values[v].size for v in program.outputs])
    parts = np.split(packed, ends[:-1], axis=1)
    return {
        name: part.reshape(len(part), *program.values[v].shape)
        for name, part, v in zip(names, parts, program.outputs, strict=True)
    }
