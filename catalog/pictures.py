"""A picture's bytes: decoded by `to_rgb`, kept once by content hash, shown as a thumbnail made from its pixels."""

from catalog.decoding import PictureError, to_rgb

__all__ = ["PictureError", "to_rgb"]
