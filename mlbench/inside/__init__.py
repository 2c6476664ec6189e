"""What runs in the user's own process: standard library only, on any Python from 3.9 on."""
