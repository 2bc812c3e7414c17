"""How good labels are and what is chosen by that: evaluation, calibration, published figures. NumPy and SciPy only.

For the model card and every stage above it.
"""
