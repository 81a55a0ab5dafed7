"""Training and scoring under Lightning."""
