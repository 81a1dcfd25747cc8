"""A model becomes a `.tflite`.

Engines, ranges of activations, rounding of weights, and what stays in float.
"""
