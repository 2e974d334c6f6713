"""All pictures of `fastann.plots`, made from real data, with a page to look at them."""

from __future__ import annotations

from fastann.gallery.make import make_gallery
from fastann.gallery.pictures import PICTURES, Picture

__all__ = ["PICTURES", "Picture", "make_gallery"]
