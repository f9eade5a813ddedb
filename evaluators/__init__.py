"""How a heuristic is judged: sealed execution, bounds, gaps and statistics, workers."""
