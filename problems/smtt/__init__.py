"""Single-machine total tardiness, 1||ΣT_j: instances, exact solver, baselines."""
