"""Images: random changes of them while a network trains, and between arrays and files.

Files need Pillow: `pip install 'fastann[images]'`.
"""

from __future__ import annotations

from fastann.preprocessing.image.array_iterator import ArrayIterator
from fastann.preprocessing.image.data_generator import ImageDataGenerator
from fastann.preprocessing.image.directory_iterator import DirectoryIterator
from fastann.preprocessing.image.files import array_to_img, img_to_array, load_img
from fastann.preprocessing.image.iterator import ImageIterator

__all__ = [
    "ArrayIterator",
    "DirectoryIterator",
    "ImageDataGenerator",
    "ImageIterator",
    "array_to_img",
    "img_to_array",
    "load_img",
]
