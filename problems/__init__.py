"""What is scheduled: problems, their instances, costs, bounds and baseline heuristics."""
