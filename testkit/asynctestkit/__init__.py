"""What tests, chaos and benchmarks share: servers, processes, installations, fakes, waiting.

What only one of them needs stays with it. Nothing here is in the wheel, and no service imports it.
"""
