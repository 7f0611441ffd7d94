"""What is measured: AsyncApiProxy, its original design, what people would use instead."""
