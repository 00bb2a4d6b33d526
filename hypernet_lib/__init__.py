"""Continual learning with hypernetworks: the parts that the notebooks put together."""
