"""Streaming metrics of a batch: the sum of a value per row, beside those that are losses."""

from __future__ import annotations

from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.program import LOSSES, METRICS

(
    BINARY_ACCURACY, CATEGORICAL_ACCURACY, SPARSE_ACCURACY, TOP_K, SPARSE_TOP_K, ACCURACY,
) = range(len(LOSSES), len(LOSSES) + len(METRICS))  # fmt: skip


@lean
def _argmax(row):
    best = 0
    for j in range(1, row.size):
        if row[j] > row[best]:
            best = j
    return best


@lean
def _in_top_k(label, row, k):
    """Say whether fewer than k entries exceed the label's (ties count in its favour, as in Keras)."""
    above = 0
    for j in range(row.size):
        above += row[j] > row[label]
    return above < k and row[label] == row[label]


@lean
def _share(op, target, row, threshold):
    """Return the share of equal entries of a row, predictions cut at the threshold or as they are."""
    right = 0
    for j in range(row.size):
        guess = row[j] if op == ACCURACY else (1.0 if row[j] > threshold else 0.0)
        right += guess == target[j]
    return right / row.size


@lean
def metric(op, y, stride, p, width, weights, positions, threshold, k):
    """Return sum_r w_r m_r over the rows of p (B * positions, width); arguments as in `losses.loss`."""
    total = 0.0
    for r in range(p.size // width):
        w = weights[r // positions] if weights.size else 1.0
        row = p[r * width : (r + 1) * width]
        if op == SPARSE_ACCURACY or op == SPARSE_TOP_K:
            label = int(y[(r // positions) * stride + r % positions])
            hit = _argmax(row) == label if op == SPARSE_ACCURACY else _in_top_k(label, row, k)
            total += w if hit else 0.0
            continue
        start = (r // positions) * stride + (r % positions) * width
        target = y[start : start + width]
        if op == CATEGORICAL_ACCURACY:
            total += w if _argmax(row) == _argmax(target) else 0.0
        elif op == TOP_K:
            total += w if _in_top_k(_argmax(target), row, k) else 0.0
        else:
            total += w * _share(op, target, row, threshold)
    return total
