"""Encoders, encoding, training and decoding."""
