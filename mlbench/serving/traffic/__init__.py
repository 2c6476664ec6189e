"""What shares the traffic of one model: weights, a canary, a shadow, and what decides on them."""
