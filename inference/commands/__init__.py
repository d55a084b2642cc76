"""The commands on trained runs: `mmrl demo`, `mmrl export`, `mmrl visualize`."""
