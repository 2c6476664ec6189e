"""One file a command: `configure` names its arguments, `run` carries it out."""
