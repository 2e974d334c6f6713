"""Measure training and prediction on this machine, next to other libraries; `fastann bench` from the command line."""

from __future__ import annotations
