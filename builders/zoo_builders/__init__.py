"""Builders: a manifest becomes proven, measured TFLite artifacts."""
