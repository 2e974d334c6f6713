"""Making data ready before it comes to a network."""

from __future__ import annotations

from fastann.preprocessing import image

__all__ = ["image"]
