"""How good a model is: curves, confusion, scores of each class, and the rows to find out with."""

from __future__ import annotations

from fastann.evaluation.curves import PrecisionRecallCurve, RocCurve, precision_recall_curve, roc_curve
from fastann.evaluation.fitting import Reading, read_curves
from fastann.evaluation.labels import predicted_classes, true_classes
from fastann.evaluation.report import ClassScores, Report, classification_report, confusion_matrix
from fastann.evaluation.splits import train_validation_test_split

__all__ = [
    "ClassScores",
    "PrecisionRecallCurve",
    "Reading",
    "Report",
    "RocCurve",
    "classification_report",
    "confusion_matrix",
    "precision_recall_curve",
    "predicted_classes",
    "read_curves",
    "roc_curve",
    "train_validation_test_split",
    "true_classes",
]
