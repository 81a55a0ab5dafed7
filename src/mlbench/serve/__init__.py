"""A run behind a page of this machine, and behind a JSON endpoint for programs."""
