"""What benchmarks are built on: splits, few-shot samples, listings, archives."""
