"""MLflow's plugin: what a stage's script says through MLflow's own API is recorded, unchanged.

MLflow finds it by the entry points in `onpath/`, and so in a stage's processes alone. It changes
nothing that the script sees of the store that it uses, and writes the stage's folder beside it.
"""

MLFLOW_NAME = "mlflow"
"""The folder, in the stage's, of what MLflow itself needs while the stage runs."""
