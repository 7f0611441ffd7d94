"""Our scaling of executors against KEDA's, in a model of a cluster."""
