"""Run models so that a lone request waits for nobody and a crowd gains."""
