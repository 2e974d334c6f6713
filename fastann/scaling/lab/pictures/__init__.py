"""The ten pictures of a lab, each a figure drawn from its findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.scaling.lab.pictures.rates import best_rates, loss_map, rule_regrets
from fastann.scaling.lab.pictures.steps import (
    generalisation_gap,
    noise_scale,
    samples_against_steps,
    steps_to_target,
)
from fastann.scaling.lab.pictures.times import predicted_times, step_times, time_to_target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastann.scaling.lab.findings import Findings


@dataclass(frozen=True)
class Picture:
    """One picture: its title, how to read it, and what draws it."""

    title: str
    caption: str
    draw: Callable[[Findings], Figure]


PICTURES: tuple[Picture, ...] = (
    Picture(
        "Steps to the target",
        "Medians over seeds at the learning rate tuned for the middle target, with 95 % intervals; an interval without "
        "an upper end means that many resamples never arrive. Along the dotted line twice the rows halve the steps; "
        "where the points leave it, more rows an update buy less. The line is S = S_min (1 + B_crit / B).",
        steps_to_target,
    ),
    Picture(
        "What fewer steps cost in samples",
        "Each point is a batch size. Small ones lie at the right, with the fewest samples; large ones at the top left, "
        "with the fewest steps. At the critical batch both are twice their least.",
        samples_against_steps,
    ),
    Picture(
        "The best learning rate",
        "Where the mean score over the seeds of the search is lowest, between the rates that were tried. The linear "
        "rule and the square root start at the rate tuned at the base batch.",
        best_rates,
    ),
    Picture(
        "Loss over learning rate and batch size",
        "Lowest validation loss within the budget of equal epochs, median over seeds of the search. Crosses: at least "
        "half of the trainings diverged, which need not spoil the loss they had before.",
        loss_map,
    ),
    Picture(
        "Time of a step",
        "Measured alone, with all threads. The lines are t = t0 + c B; t0 / c is the batch size at which rows take as "
        "long as what a step costs whatever its size.",
        step_times,
    ),
    Picture(
        "Time to the target",
        "Dots are steps times the time of a step; squares are trainings that were run alone with a clock beside them. "
        "The band is the range about B* = sqrt(B_crit t0 / c), in which time should be within an eighth of the best.",
        time_to_target,
    ),
    Picture(
        "What each rule costs",
        "How far the loss (or the steps until the target) lies above that of the tuned rate, with paired 95 % "
        "intervals. Inside the grey band a rule counts as good; below it the rule beat the tuning. All rules start "
        "from the rate that is best for the base batch at equal epochs, which need not be best until the target.",
        rule_regrets,
    ),
    Picture(
        "Noise scale along the training",
        "Trace of the covariance of single gradients over the squared norm of their mean, at the base batch, over a "
        "few seeds. The marks are the fitted critical batches, at the step where the base batch reaches that target.",
        noise_scale,
    ),
    Picture(
        "Generalisation gap",
        "Validation loss minus training loss where the validation loss is lowest within the budget, and where it first "
        "meets the middle target, at rates tuned for that budget.",
        generalisation_gap,
    ),
    Picture(
        "Predicted and measured time",
        "Seconds to the middle target of real trainings against steps times the time of a step.",
        predicted_times,
    ),
)
