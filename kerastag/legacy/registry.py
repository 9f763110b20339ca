"""The legacy taggers and the sources of their weights."""

import dataclasses
import importlib
from pathlib import Path

import keras
import numpy as np

from kerastag.errors import UserError, nearest
from kerastag.schema import DEEPCSV, DEEPDOUBLEX, DEEPFLAVOUR, PARTICLE_TRANSFORMER_AK4, Schema

# CMS's public repository of b-tagging weights, pinned. It states no licence, so kerastag holds no weights.
_SOURCE = "https://raw.githubusercontent.com/cms-data/RecoBTag-Combined/77957cb"


@dataclasses.dataclass(frozen=True)
class LegacyTagger:
    """A tagger of an experiment.

    Attributes:
        name: Name for `load` and for commands.
        schema: Schema of the inputs.
        classes: Names of the classes, in the order of the logits.
        path: Path of the file of weights in folders of weights.
        sha256: SHA-256 of the file.
        size: Size of the file, bytes.
        reference: Publication.
        builder: Module of `kerastag.legacy` with the function `build(path, classes, name)`.
        answers_if: The experiment gives an answer only if one of these features is above 0; empty if it always does.
        source: Address of the folder of weights.
        source_path: Path of the file below `source`; empty if it is `path`.
    """

    name: str
    schema: Schema
    classes: tuple[str, ...]
    path: str
    sha256: str
    size: int
    reference: str
    builder: str
    answers_if: tuple[str, ...] = ()
    source: str = _SOURCE
    source_path: str = ""

    @property
    def url(self) -> str:
        """Address of the file of weights."""
        return f"{self.source}/{self.source_path or self.path}"

    def answered(self, features: np.ndarray) -> np.ndarray:
        """Whether the experiment gives an answer for jets of these features `(jets, features)`, bool `(jets,)`."""
        if not self.answers_if:
            return np.ones(len(features), bool)
        return np.any([features[:, self.schema.index(name)] > 0 for name in self.answers_if], axis=0)

    def unanswered(self, features: np.ndarray) -> str:
        """A sentence on the jets of these features `(jets, features)` without an answer; "" if there are none."""
        if (answered := self.answered(features)).all():
            return ""
        return (
            f"CMS gives no answer for {np.mean(~answered):.1%} of these jets, which have none of {', '.join(self.answers_if)}; "
            "here the network scores them too."
        )

    def build(self, path: Path) -> keras.Model:
        """The tagger from raw features to logits.

        Args:
            path: The file of weights.
        """
        return importlib.import_module(f"kerastag.legacy.{self.builder}").build(path, self.classes, self.name)


def _deep_double_x(kind: str, classes: tuple[str, str], sha256: str) -> LegacyTagger:
    return LegacyTagger(
        name=f"DeepDouble{kind}",
        schema=DEEPDOUBLEX[kind],
        classes=classes,
        path=f"DeepDoubleX/102X/V02/{kind}.h5",
        sha256=sha256,
        size=806_752,
        reference="CMS-DP-2018-046",
        builder="deep_double_x",
    )


def _robust_part(training: str, source_path: str, sha256: str, size: int) -> LegacyTagger:
    return LegacyTagger(
        name=f"RobustParTAK4-{training}",
        schema=PARTICLE_TRANSFORMER_AK4,
        classes=("b", "bb", "lepb", "c", "uds", "g"),
        path=f"RobustParTAK4/{training}.onnx",
        sha256=sha256,
        size=size,
        reference="CMS Collaboration, cms-data/RecoBTag-Combined, RobustParTAK4",
        builder="particle_transformer_ak4",
        answers_if=("Cpfcan_e_0", "Npfcan_e_0", "sv_e_0"),
        source_path=source_path,
    )


TAGGERS = {
    tagger.name: tagger
    for tagger in (
        LegacyTagger(
            name="DeepCSV",
            schema=DEEPCSV,
            classes=("b", "bb", "c", "udsg"),
            path="DeepCSV_PhaseI.json",
            sha256="3629989a1f578765f929402c477e71ae46c5c2f4f92fa2265d5d118c0b1f027e",
            size=1_033_941,
            reference="CMS, JINST 13 (2018) P05011, arXiv:1712.07158",
            builder="deep_csv",
            answers_if=("jetNSelectedTracks", "jetNSecondaryVertices"),
        ),
        LegacyTagger(
            name="DeepFlavour",
            schema=DEEPFLAVOUR,
            classes=("b", "bb", "lepb", "c", "uds", "g"),
            path="DeepFlavourV03_10X_training/constant_graph.pb",
            sha256="96a1d34a74126746a4e55d3a69e335df5ff566fca51b29fb1326a36ec9d9c81b",
            size=1_373_125,
            reference="Bols et al., JINST 15 (2020) P12012, arXiv:2008.10519",
            builder="deep_flavour",
        ),
        _deep_double_x("BvL", ("QCD", "Hbb"), "c5af07582b2bbd4b50d239eed9626fb199b053fe93fbd5add02aa27482fe588e"),
        _deep_double_x("CvL", ("QCD", "Hcc"), "f4d7105eaa050630af01d563c095289003647f11d2a9ea3a79dca248c9e29aa2"),
        _deep_double_x("CvB", ("Hbb", "Hcc"), "09c328de0d50812d8325b2fc2cccb88ff5d367cb9291f97e5ce2333fc87a1faa"),
        _robust_part(
            "nominal",
            "RobustParTAK4/PUPPI/V00/nominal/RobustParTAK4.onnx",
            "3788bc68fa553c8f29f564ce97b3c77fb1e4ec4a966ac0be200cb993636eaeab",
            3_779_842,
        ),
        _robust_part(
            "ngm",
            "models/particletransformer_AK4/1/model.onnx",
            "825c425e618589cde5a4f1fccc8887a0336d72c63c00ca4a1cc9da656e9d5bb7",
            3_780_300,
        ),
    )
}


def known(name: str) -> bool:
    """Whether `get` knows a tagger of that name."""
    return name in TAGGERS or f"{name}-nominal" in TAGGERS


def get(name: str, training: str | None = None) -> LegacyTagger:
    """The record of a tagger.

    Args:
        name: Name of the tagger.
        training: Which of its trainings, where it has several; None if the name says it, or for "nominal".

    Raises:
        UserError: if there is none of that name; the message lists the nearest names.
    """
    if training is not None or (name not in TAGGERS and known(name)):
        name = f"{name}-{training or 'nominal'}"
    if name not in TAGGERS:
        raise UserError(f"There is no legacy tagger '{name}'; the nearest are {nearest(name, tuple(TAGGERS))}.")
    return TAGGERS[name]
