"""A model becomes a `.tflite`: engines, ranges, rounding of weights, what stays in float."""
