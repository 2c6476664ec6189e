"""Studies on Optuna: what to try next, what to give up, and what the trials tell."""
