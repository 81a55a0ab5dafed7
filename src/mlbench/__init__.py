"""A config-driven experiment runner for multi-label learning."""

__version__ = "0.2.0"
