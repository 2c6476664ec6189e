"""The words of mlbench: plain frozen values, events, errors and the expression language."""
