"""Splits that do not leak: families of products and near-duplicate pictures, each in one part once and for ever.

For `training`, `audit` and the packages above them.
"""
