"""The benchmarks: that they run, not how fast."""
