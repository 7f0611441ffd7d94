"""What people would use instead, each run by its own command."""
