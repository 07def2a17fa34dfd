"""The inputs of the attention sum, as fixtures."""

from attention_cases import cell, image_list, inputs

__all__ = ["cell", "image_list", "inputs"]
