"""An experiment on batch size and learning rate: does a rule hold here, up to which batch size, and what does it cost?

For each optimizer and batch size it compares the learning rates that rules give (unchanged, linear, square root, that
of Adam's SDE, saturating) with one tuned anew, without and with warm-up, under three budgets. Protocol and statistics
follow Shallue et al. 2018 (arXiv:1811.03600) and McCandlish et al. 2018 (arXiv:1812.06162).
"""

from __future__ import annotations

from fastann.scaling.lab.design import PRESETS, Design, Preset, design_for
from fastann.scaling.lab.report import write_report
from fastann.scaling.lab.stages import run_lab

__all__ = ["PRESETS", "Design", "Preset", "design_for", "run_lab", "write_report"]
