"""Faults of the keys that say how a stage is run, with what is said of each."""

from __future__ import annotations

STAGE = '[stages.train]\ncmd = "python train.py"\n'

BAD_STAGE_KEYS: dict[str, tuple[str, str]] = {
    "a dep without its path": (
        f'{STAGE}deps = [{{check = "stat"}}]\n',
        "mlbench.toml:3: stages.train.deps: a table among them needs its path: {path = ",
    ),
    "a dep's check": (
        f'{STAGE}deps = [{{path = "data", check = "size"}}]\n',
        'mlbench.toml:3: stages.train.deps.check: "size" is none of content, stat',
    ),
    "metrics hold a number": (
        f"{STAGE}metrics = [3]\n",
        "mlbench.toml:3: stages.train.metrics: must be a list of strings and tables",
    ),
    "a metrics flag is text": (
        f'{STAGE}metrics = [{{"b.json" = {{cache = "no"}}}}]\n',
        "mlbench.toml:3: stages.train.metrics.b.json.cache: must be true or false",
    ),
    "a plot's column is a number": (
        f'{STAGE}plots = [{{"b.csv" = {{x = 3}}}}]\n',
        "mlbench.toml:3: stages.train.plots.b.csv.x: must be a string",
    ),
    "a plot's key": (
        f'{STAGE}plots = [{{"b.csv" = {{xx = "a"}}}}]\n',
        "mlbench.toml:3: stages.train.plots.b.csv.xx: unknown key",
    ),
    "retries is less than none": (
        f"{STAGE}retries = -1\n",
        "mlbench.toml:3: stages.train.retries: must be 0 or more",
    ),
    "retries is true": (
        f"{STAGE}retries = true\n",
        "mlbench.toml:3: stages.train.retries: must be a whole number",
    ),
    "deterministic is text": (
        f'{STAGE}deterministic = "no"\n',
        "mlbench.toml:3: stages.train.deterministic: must be true or false",
    ),
    "isolate is a number": (
        f"{STAGE}isolate = 1\n",
        "mlbench.toml:3: stages.train.isolate: must be true or false",
    ),
    "launch with an open quote": (
        f'{STAGE}launch = "srun \'a"\n',
        "mlbench.toml:3: stages.train.launch: is no command line: no closing quotation",
    ),
    "launch is a number": (
        f"{STAGE}launch = 3\n",
        "mlbench.toml:3: stages.train.launch: must be a string or a list of strings",
    ),
    "resources is no table": (
        f'{STAGE}resources = "2GB"\n',
        "mlbench.toml:3: stages.train.resources: must be a table",
    ),
    "no core": (
        f"{STAGE}resources = {{cpu = 0}}\n",
        "mlbench.toml:3: stages.train.resources.cpu: must be 1 or more",
    ),
    "less than no GPU": (
        f"{STAGE}resources = {{gpu = -1}}\n",
        "mlbench.toml:3: stages.train.resources.gpu: must be 0 or more",
    ),
    "memory without a unit": (
        f'{STAGE}resources = {{memory = "2"}}\n',
        "mlbench.toml:3: stages.train.resources.memory: must be a size such as "
        '"512MB", "2GB" or "1.5GiB"',
    ),
    "no memory": (
        f'{STAGE}resources = {{memory = "0GB"}}\n',
        "mlbench.toml:3: stages.train.resources.memory: must be a size",
    ),
    "memory is true": (
        f"{STAGE}resources = {{memory = true}}\n",
        "mlbench.toml:3: stages.train.resources.memory: must be a size",
    ),
}
