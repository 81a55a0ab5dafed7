"""A config-driven experiment runner for multi-label learning."""

__version__ = "0.1.0"
