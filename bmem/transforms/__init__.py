"""Invertible maps with their log-Jacobians, one interface."""
