"""Real data sets that scikit-learn ships, so that nothing has to be downloaded."""

from __future__ import annotations

from fastann.datasets.dataset import Dataset, make_dataset
from fastann.optional import require

_DESCRIPTIONS = {
    "breast_cancer": "569 tumours described by 30 measurements of their cell nuclei; malignant or benign.",
    "digits": "1,797 handwritten digits as images of 8 x 8 pixels; which of ten digits.",
    "diabetes": "442 patients described by 10 measurements; how far the disease got within a year.",
    "wine": "178 wines described by 13 chemical measurements; which of three cultivars.",
    "iris": "150 flowers described by 4 lengths; which of three species.",
}
_REGRESSION = frozenset({"diabetes"})

#: Names that `load` knows.
BUILTIN = tuple(_DESCRIPTIONS)


def load_builtin(name: str, task: str = "auto") -> Dataset:
    """Return the built-in data set `name`; its own task where `task` is "auto".

    Raises:
        ImportError: scikit-learn is not installed.
    """
    require("sklearn", f"the data set {name!r} comes with")
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    if task == "auto":
        task = "regression" if name in _REGRESSION else "classification"
    return make_dataset(
        name,
        bunch.data,
        bunch.target,
        task,
        feature_names=[str(feature) for feature in bunch.feature_names],
        class_names=[str(label) for label in getattr(bunch, "target_names", ())],
        description=_DESCRIPTIONS[name],
    )
