"""A model becomes a `.tflite`: engines, ranges of activations, rounding of weights, and what stays in float."""
