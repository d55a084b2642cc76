"""Base of the benchmarks: splits, few-shot samples, listings."""
