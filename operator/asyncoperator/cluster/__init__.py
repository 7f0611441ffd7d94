"""The API server: its client, its errors, the credentials, and the Lease that elects a leader.

What any loop of the operator needs of Kubernetes belongs here; what an object means does not.
"""
