"""A model card of a run directory: what a tagger is for, how it was made, what was measured, and where its numbers end.

The front matter is that of the Hugging Face Hub, as JSON, which YAML contains. The Hub takes values with their errors, as text.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kerastag import tables
from kerastag.catalogue import DEFENSES, MODELS
from kerastag.errors import UserError
from kerastag.files import check_fields, read_json
from kerastag.recipes import Settings, run_config
from kerastag.results import Interval, NotDefined
from kerastag.schema import Schema

CARD = "README.md"
_USE = """\
## Intended use

```python
import kerastag

tagger = kerastag.from_preset("path/of/this/folder")  # a keras.Model from raw features (batch, {features}) to logits
```

Features are those of `kerastag schema {schema}`, in physical units and in that order. `saved_model/` takes the same and needs
no kerastag. For studies of attacks, defences and mismodelling, and as a reference beside a tagger of your own.
"""
_LIMITS = """\
## Limits

- Areas hold for jets like those of the {split} split. They say nothing about another detector, generator or selection.
- Robustness was measured against the attacks in the table, in their boxes, and against no others.
- ± is half the 68 % interval of resampled events of one training. Another seed gives another tagger.
"""


def card(folder: Path, schema: Schema, parameters: int) -> str:
    """The card of a run directory, Markdown.

    Args:
        folder: The run directory, with `config.json` and `metrics.json`.
        schema: Inputs of the tagger.
        parameters: Number of trainable numbers.

    Raises:
        UserError: if the folder is no run directory, or its files are damaged.
    """
    if not all((folder / name).is_file() for name in ("config.json", "metrics.json")):
        raise UserError(f"A card needs a run directory; '{folder}' has no config.json and metrics.json, which train writes.")
    config, metrics = run_config(folder), read_json(folder / "metrics.json", {"split": str, "jets": int, "results": dict})
    check_fields(folder / "config.json", config, {"command": list, "versions": dict})
    (name, results), *_ = metrics["results"].items()
    settings: Settings = config["settings"]
    jets = f"{metrics['jets']:,} jets of the {metrics['split']} split"
    rows = [[condition, *(str(_area(areas[one])) for one in schema.headline)] for condition, areas in results.items()]
    parts = [
        _front_matter(name, schema, metrics),
        f"# {name}\n\nA jet flavour tagger: logits of {', '.join(schema.class_names)} jets from the {len(schema.features)} "
        f"inputs of the data set `{schema.name}`. {_model(settings)}, {parameters:,} trained numbers. {_defense(settings)}\n",
        _USE.format(features=len(schema.features), schema=schema.name),
        f"## Results\n\n{jets}; areas under the ROC curve, ± half the 68 % interval. Box of the "
        f"attacks: {settings.physics.label or 'that of the schema, tied and with bounds'}.\n\n"
        f"{tables.markdown(['jets', *schema.headline], rows)}\n",
        _training(config),
        _LIMITS.format(split=metrics["split"]),
    ]
    return "\n".join(parts)


def _front_matter(name: str, schema: Schema, metrics: Mapping[str, Any]) -> str:
    main = schema.main.name
    results = [
        {
            "task": {"type": "tabular-classification", "name": "jet flavour tagging"},
            "dataset": {"type": schema.name, "name": f"{schema.name}, {metrics['split']} split"},
            "metrics": [{"type": "roc_auc", "name": f"{main} AUC, {condition}", "value": str(area)}],
        }
        for condition, areas in next(iter(metrics["results"].values())).items()
        if isinstance(area := _area(areas[main]), Interval)
    ]
    content = {
        "license": "apache-2.0",
        "library_name": "keras",
        "pipeline_tag": "tabular-classification",
        "tags": ["kerastag", "high-energy-physics", "jet-tagging", "adversarial-robustness"],
        "model-index": [{"name": name, "results": results}],
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()]
    return "\n".join(["---", *lines, "---", ""])


def _area(stored: Any) -> Interval | NotDefined:
    return Interval(stored["value"], stored["low"], stored["high"]) if isinstance(stored, dict) else stored


def _model(settings: Settings) -> str:
    name = settings.hyperparameters.model
    return f"Model `{name}`" + ("" if ":" in name else f" ({MODELS.find(name).help})")


def _defense(settings: Settings) -> str:
    if settings.defense == "nominal":
        return "It was trained without a defence."
    known = "" if ":" in settings.defense else f" ({DEFENSES.find(settings.defense).help})"
    return f"It was trained with the defence `{settings.defense}`{known}."


def _training(config: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{package} {version}" for package, version in config["versions"].items())
    jets = ", ".join(f"{split} {sum(of_class.values()):,}" for split, of_class in config["jets"].items())
    return (
        f"## Training\n\n```bash\n{_command(config['command'])}\n```\n\nJets: {jets}. Seed "
        f"{config['settings'].seed}. Data set `{config['fingerprint'][:16]}`. {versions}. "
        "`config.json` of the training has all settings.\n"
    )


def _command(arguments: Sequence[str]) -> str:
    """The command of a training, which began with a script or with the installed `kerastag`."""
    program, *others = map(str, arguments)
    of_script = ["python", program] if program.endswith(".py") else [Path(program).name]
    return shlex.join([*of_script, *others])
