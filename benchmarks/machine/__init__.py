"""What all measurements share: servers, programs, load, CPU time. Knows no system by name."""
