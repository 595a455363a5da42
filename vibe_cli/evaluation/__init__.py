"""Evaluation: how well models do on data sets whose truth is known."""
