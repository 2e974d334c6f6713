"""Is the advice any good? Its time to a target next to that of an exhaustive grid, and of the usual defaults.

    FASTANN_DATA=... python benchmarks/advice.py --data dev|held-out [--only NAME ...] [--block K] [--out FOLDER]

For each data set and a network of 64 and 64 ReLU units with Adam:

- Target: the validation loss that the default training (batch 32, learning rate 1e-3) has seen after 80 % of 20 epochs,
  with the worst of 5 seeds, made easier by 2 % of what training gained until there, so that most settings can reach it.
  This definition was settled on the development sets, with results in view; only for the held-out sets was it fixed
  before anything was run.
- Grid: batch sizes 16 to 1024 x learning rates 3.2e-4 to 3.2e-2 in steps of sqrt(10), 3 seeds each, the loss looked at
  every eighth of a pass, until the target or twice the seconds of the default training.
- Steps to the target: the best cell and both defaults run again with 8 seeds that nothing was chosen by. `advise` is
  told the target and the validation rows and runs with 5 seeds of its own, a round each; what it recommends is trained
  with 4 fresh seeds each. `--block K` takes the K-th block of seeds for all of these.
- Time: the median of steps times the seconds of a step in `fit`, which are measured for the best cell, the defaults and
  the advice in turns in the same round as the advice, so that all of a round meet the same machine. Looks at the
  validation loss are not counted, for nobody. The probe is wall clock, after kernels are loaded.

The criterion: the median regret over data sets is at most 1.25 and the median of (time + probe / 3) / (time of the
default) is below 1 for both defaults. Everything else refutes the advice.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from advice_data import DEVELOPMENT, HELD_OUT, Task, load_task
from advice_report import summary

from fastann import Sequential, fit_many
from fastann.layers import Dense
from fastann.optimizers import Adam
from fastann.scaling import advise

EPOCHS, PART, SLACK = 20, 0.8, 0.02
SIZES = (16, 32, 64, 128, 256, 512, 1024)
RATES = tuple(float(f"{1e-3 * 10 ** (k / 2):.4g}") for k in range(-1, 4))
#: Parts of a pass between two looks at the validation loss.
LOOKS = 8
#: First seed and number of seeds, by what they are for: no seed is used twice.
SEEDS = {"target": (0, 5), "grid": (100, 3), "confirmed": (200, 8), "advice": (300, 5), "advised": (400, 4)}
#: Seeds between two blocks, and rows that one measurement of a step time trains on.
BLOCK, TIMED_ROWS = 1000, 16_000


def seeds(stage: str, offset: int = 0) -> range:
    first, count = SEEDS[stage]
    return range(first + offset, first + offset + count)


def network(task: Task, seed: int, rate: float = 1e-3) -> Sequential:
    units, activation, loss = task.classes, "softmax", "sparse_categorical_crossentropy"
    if task.classes == 0:
        units, activation, loss = 1, "linear", "mse"
    elif task.classes == 2:
        units, activation, loss = 1, "sigmoid", "binary_crossentropy"
    hidden = [Dense(64, "relu", input_shape=(task.x.shape[1],)), Dense(64, "relu")]
    model = Sequential([*hidden, Dense(units, activation)], seed=seed)
    model.compile(Adam(rate), loss, backend="numba")
    return model


def steps_a_look(task: Task, size: int) -> int:
    return max(1, round(len(task.x) / size / LOOKS))


def losses(
    task: Task, size: int, rates: Sequence[float], chosen: Sequence[int], steps: float, goal: float | None
) -> list[list[float]]:
    """Train until the goal, if there is one, or so many steps; return the validation losses, by rate and seed."""
    each = steps_a_look(task, size)
    runs = fit_many(
        network(task, 0), task.x, task.y, learning_rates=rates, seeds=chosen, batch_size=min(size, len(task.x)),
        epochs=max(1, math.ceil(steps / each)), steps_per_epoch=each, validation_data=task.validation_data,
        validation_batch_size=4096, until=None if goal is None else {"val_loss": goal}, verbose=0,
    )  # fmt: skip
    return [run.history.history.get("val_loss", []) for run in runs]


def steps_to(task: Task, size: int, found: Sequence[float], goal: float) -> float:
    """Return the steps after which the loss was at the goal; infinite if it never was."""
    for number, loss in enumerate(found):
        if loss <= goal:
            return float((number + 1) * steps_a_look(task, size))
    return math.inf


def default_sizes(task: Task) -> tuple[int, int]:
    """Batch size of Keras, and of scikit-learn."""
    return 32, min(200, len(task.x))


def step_times(task: Task, sizes: Sequence[int], rounds: int) -> dict[str, float]:
    """Return seconds of a step by batch size, the median over rounds in which all take turns."""
    found: dict[int, list[float]] = {size: [] for size in sizes if size <= len(task.x)}
    epochs = max(1, round(TIMED_ROWS / len(task.x)))
    for number in range(rounds):
        for size in np.random.default_rng(number).permutation(list(found)).tolist():
            model, steps = network(task, 0), -(-len(task.x) // size)
            began = time.perf_counter()
            model.fit(task.x, task.y, batch_size=size, epochs=epochs, verbose=0)
            found[size].append((time.perf_counter() - began) / (steps * epochs))
    return {str(size): float(np.median(times)) for size, times in found.items()}


def find_target(task: Task) -> dict[str, Any]:
    """Return the target, and the loss of untrained networks."""
    untrained = [network(task, s).evaluate(*task.validation_data, verbose=0) for s in seeds("target")]
    steps = EPOCHS * PART * len(task.x) / 32
    found = [min(run) for run in losses(task, 32, [1e-3], seeds("target"), steps, None)]
    start, end = float(np.median(untrained)), float(max(found))
    return {"target": end + SLACK * (start - end), "untrained": start, "default": end}


def cap_seconds(task: Task, step: dict[str, float]) -> float:
    """Twice the seconds of the default training until where the target was taken."""
    return 2 * EPOCHS * PART * len(task.x) / 32 * step["32"]


def run_grid(task: Task, goal: float, step: dict[str, float]) -> list[dict[str, Any]]:
    """Return steps to the target of every cell and seed."""
    cells = []
    for size in (size for size in SIZES if str(size) in step):
        found = losses(task, size, RATES, seeds("grid"), cap_seconds(task, step) / step[str(size)], goal)
        count = len(seeds("grid"))
        for number, rate in enumerate(RATES):
            steps = [steps_to(task, size, run, goal) for run in found[number * count : (number + 1) * count]]
            cells.append({"batch_size": size, "rate": rate, "steps": steps})
    return cells


def train(task: Task, size: int, rate: float, chosen: Sequence[int], goal: float, limit: float) -> list[float]:
    """Return steps to the target, one for each seed; infinite beyond the limit."""
    found = losses(task, size, [rate], chosen, limit, goal)
    return [steps_to(task, size, run, goal) for run in found]


def confirm(task: Task, goal: float, step: dict[str, float], cells: list[dict[str, Any]], block: int) -> dict[str, Any]:
    """Return steps to the target of the grid's best and of the defaults, with fresh seeds."""
    best = min(cells, key=lambda cell: float(np.median(cell["steps"])) * step[str(cell["batch_size"])])
    settings = {"grid": (best["batch_size"], best["rate"])}
    settings |= dict(zip(("batch 32", "batch 200"), ((size, 1e-3) for size in default_sizes(task)), strict=True))
    chosen, limit = seeds("confirmed", block * BLOCK), cap_seconds(task, step)
    return {
        name: {
            "batch_size": size, "rate": rate, "steps": train(task, size, rate, chosen, goal, limit / step[str(size)]),
        }
        for name, (size, rate) in settings.items()
    }  # fmt: skip


def ask(task: Task, goal: float, step: dict[str, float], sizes: Sequence[int], block: int) -> list[dict[str, Any]]:
    """Return each advice, with the steps that trainings took which followed it, and step times of these minutes."""
    advise(network(task, 99), task.x, task.y, target=goal)  # kernels are loaded
    asked = []
    for number, seed in enumerate(seeds("advice", block * BLOCK)):
        advice = advise(network(task, seed), task.x, task.y, target=goal, validation_data=task.validation_data)
        times = step_times(task, sorted({*sizes, advice.batch_size}), 5)
        fresh = seeds("advised", block * BLOCK + number * SEEDS["advised"][1])
        limit = cap_seconds(task, step) / times[str(advice.batch_size)] * times["32"] / step["32"]
        steps = train(task, advice.batch_size, advice.learning_rate, fresh, goal, limit)
        asked.append({"advice": advice.to_dict(), "text": str(advice), "steps": steps, "step_seconds": times})
    return asked


def stage(path: Path, name: str, make: Callable[[], Any]) -> Any:
    """Return what the file has under a name, or make it and write it there."""
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if name not in record:
        record[name] = make()
        beside = path.with_name(f".{path.name}.part")
        beside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        beside.replace(path)
    return record[name]


def run(name: str, folder: Path, block: int) -> None:
    """Run what is left to do of one data set."""
    task, path, began = load_task(name), folder / f"{name}.json", time.perf_counter()
    stage(path, "data", lambda: {"rows": len(task.x), "columns": task.x.shape[1], "classes": task.classes})
    step = stage(path, "step_seconds", lambda: step_times(task, sorted({*SIZES, *default_sizes(task)}), 7))
    goal = stage(path, "target", lambda: find_target(task))["target"]
    cells = stage(path, "grid", lambda: run_grid(task, goal, step))
    confirmed = stage(path, f"confirmed {block}", lambda: confirm(task, goal, step, cells, block))
    sizes = [each["batch_size"] for each in confirmed.values()]
    stage(path, f"advice {block}", lambda: ask(task, goal, step, sizes, block))
    print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    """Run the data sets that are not done, and write the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["dev", "held-out"], default="dev")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the data sets")
    parser.add_argument("--block", type=int, default=0, metavar="K", help="block of fresh seeds")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    names = DEVELOPMENT if given.data == "dev" else HELD_OUT
    folder = given.out / f"advice-{given.data}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in given.only or names:
        if name not in names:
            parser.error(f"{name!r} is none of {', '.join(names)}")
        run(name, folder, given.block)
    text = summary(folder, given.data, given.block)
    (folder / "README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
