"""What turns a winner of another problem into a policy: see `problems.serving.adapters`. Text, not imported."""
