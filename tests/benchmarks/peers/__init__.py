"""This project beside its peers: the same task, evaluator, model and number of calls."""
