"""Comparison of a simulated file with the published data set and with a check simulation.

Published moments of the 184 inputs are those of Jet Flavor 2016 over its training jets, defaults left out, in its flavour mix.
Simulated jets are weighted to that mix. Numbers by flavour come from an independent simulation with the same definitions.
"""

import csv
import dataclasses
from importlib import resources
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from kerastag.errors import UserError
from kerastag.schema import DEEPCSV, JET_FLAVOR, Schema
from kerastag.tables import markdown
from tfds_jets import reading

MIX = {"b": 0.393, "c": 0.120, "light": 0.487}
# Share of the published jets with at least 2, 3, … listed tracks.
LISTED = {2: 0.914, 3: 0.739, 4: 0.537, 5: 0.356, 6: 0.218}
# Jets that are read at most; more say nothing new.
MOST_JETS = 300_000

# Significances above which tracks are counted.
_SIGNIFICANCES = (2, 3, 5, 10, 25)
# Labels of b, c and light jets in the file.
_FLAVOURS = (5, 4, 0)

# Values of quantities for b, c and light jets in the check simulation (3,275-3,719 jets each).
EXPECTED = {
    "listed tracks per jet": (4.4, 3.7, 4.2),
    "jets with a secondary vertex": (0.72, 0.31, 0.10),
    "jets with two or more": (0.26, 0.03, 0.005),
    "listed tracks in a secondary vertex": (0.57, 0.21, 0.05),
    "tracks with |D0|/σ > 2": (0.50, 0.17, 0.035),
    "tracks with |D0|/σ > 3": (0.42, 0.11, 0.011),
    "tracks with |D0|/σ > 5": (0.31, 0.07, 0.010),
    "tracks with |D0|/σ > 10": (0.17, 0.032, 0.009),
    "tracks with |D0|/σ > 25": (0.043, 0.011, 0.006),
    "tracks with s > 3": (0.37, 0.09, 0.008),
    "tracks with s < -3": (0.05, 0.02, 0.004),
    "mean 2nd d0 significance": (8.3, 2.4, 1.4),
    "mean 3rd d0 significance": (5.0, 1.15, 0.75),
    "mean tracks over threshold": (2.8, 1.06, 0.45),
    "mean jet probability": (0.007, 0.031, 0.052),
    "mean vertex mass [GeV]": (2.1, 1.0, 0.80),
    "mean vertex energy fraction": (0.91, 0.62, 0.40),
    "median vertex significance": (84.0, 38.0, 14.0),
    "mean ΔR(vertex, jet)": (0.25, 0.61, 1.8),
}

_TRACK_BRANCHES = ("D0", "D0D0", "PHI", "vertex_displacement")
_JET_BRANCHES = (
    "jet_parton_flavour",
    "n_secondary_vertices",
    "track_2_d0_significance",
    "track_3_d0_significance",
    "n_tracks_over_d0_threshold",
    "jet_prob",
    "vertex_mass",
    "vertex_energy_fraction",
    "vertex_significance",
    "delta_r_vertex",
)

# Inputs of each schema that are drawn.
_DRAWN = (
    (
        JET_FLAVOR,
        (
            "jet_pt",
            "jet_eta",
            "track_2_d0_significance",
            "n_tracks_over_d0_threshold",
            "jet_prob",
            "jet_width_eta",
            "n_secondary_vertices",
            "vertex_significance",
            "vertex_mass",
            "vertex_energy_fraction",
            "track_0_D0",
            "track_0_PHI",
            "track_0_weight",
            "track_0_vertex_displacement",
            "track_0_vertex_mass",
            "track_5_D0",
        ),
    ),
    (
        DEEPCSV,
        (
            "jetNSelectedTracks",
            "trackSip2dSig_0",
            "trackSip3dSig_1",
            "trackJetDist_0",
            "trackPtRel_0",
            "trackSip2dSigAboveCharm",
            "vertexCategory",
            "vertexMass",
            "vertexEnergyRatio",
            "flightDistance2dSig",
            "trackEtaRel_0",
            "trackSumJetEtRatio",
        ),
    ),
)


@dataclasses.dataclass
class InputMoments:
    """Moments of one input, defaults left out.

    Attributes:
        name: Name of the feature.
        mean: Mean over the simulated jets.
        sigma: Standard deviation over the simulated jets.
        reference_mean: Mean over the published jets.
        reference_sigma: Standard deviation over the published jets.
        default_fraction: Share of simulated jets in which the feature is its default.
    """

    name: str
    mean: float
    sigma: float
    reference_mean: float
    reference_sigma: float
    default_fraction: float

    @property
    def pull(self) -> float:
        """Difference of the means in units of the published σ."""
        return (self.mean - self.reference_mean) / self.reference_sigma


def read(path: Path, schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """Read a file, cleaned as the data set builder does.

    Args:
        path: ROOT file.
        schema: Features to read.

    Returns:
        Features, float32 `(jets, features)`, and labels, int64 `(jets,)`.

    Raises:
        UserError: if there is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise UserError(f"There is no file '{path}'.")
    cleaning = reading.Cleaning.none(schema)
    features, label, jets = [], [], 0
    for chunk in reading.read([reading.RootFile.of(path)], schema, "", cleaning):
        features.append(chunk.features)
        label.append(chunk.label)
        jets += len(chunk)
        if jets > MOST_JETS:
            break
    return np.concatenate(features)[:MOST_JETS], np.concatenate(label)[:MOST_JETS]


def moments(features: np.ndarray, label: np.ndarray) -> list[InputMoments]:
    """Calculate the moments of all 184 inputs in the published flavour mix.

    Args:
        features: `(jets, 184)`, in the order of `JET_FLAVOR`.
        label: int64 `(jets,)`.
    """
    weight = mix_weights(label)
    inputs = []
    for column, (name, reference_mean, reference_sigma) in enumerate(_reference()):
        present = features[:, column] != JET_FLAVOR.defaults[column]
        values, weights = features[present, column].astype(np.float64), weight[present]
        mean = np.average(values, weights=weights)
        sigma = np.sqrt(np.average((values - mean) ** 2, weights=weights))
        default_fraction = weight[~present].sum() / weight.sum()
        inputs.append(InputMoments(name, mean, sigma, reference_mean, reference_sigma, default_fraction))
    return inputs


def mix_weights(label: np.ndarray) -> np.ndarray:
    """Weight of each jet that gives the published flavour mix, float64 `(jets,)`.

    Raises:
        UserError: if a flavour is missing.
    """
    counts = np.bincount(label, minlength=len(MIX))
    if not counts.all():
        raise UserError("The file lacks jets of some flavour, so it cannot be compared with the published mix.")
    return (np.array(list(MIX.values())) * len(label) / counts)[label]


def by_flavour(path: Path) -> dict[str, list[float]]:
    """Measure the quantities of `EXPECTED` in a file, for b, c and light jets."""
    with uproot.open(path) as file:
        tree = file[JET_FLAVOR.tree]
        jets = tree.arrays([*_JET_BRANCHES, "ntrack"], entry_stop=MOST_JETS, library="np")
        tracks = tree.arrays([f"track_{name}" for name in _TRACK_BRANCHES], entry_stop=MOST_JETS)
    columns = {name: ak.to_numpy(ak.flatten(tracks[f"track_{name}"])) for name in _TRACK_BRANCHES}
    jet_flavour = jets["jet_parton_flavour"]
    track_flavour = np.repeat(jet_flavour, jets["ntrack"])
    numbers = [
        _jet_numbers(_selected(jets, jet_flavour == flavour)) | _track_numbers(_selected(columns, track_flavour == flavour))
        for flavour in _FLAVOURS
    ]
    return {name: [float(of_flavour[name]) for of_flavour in numbers] for name in EXPECTED}


def _selected(columns: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, np.ndarray]:
    """Columns where a mask is true."""
    return {name: values[mask] for name, values in columns.items()}


def _track_numbers(track: dict[str, np.ndarray]) -> dict[str, float]:
    """Rates of track branches."""
    significance = np.abs(track["D0"]) / np.sqrt(track["D0D0"])
    signed = np.sign(track["D0"] * track["PHI"]) * significance
    rates = {f"tracks with |D0|/σ > {limit}": np.mean(significance > limit) for limit in _SIGNIFICANCES}
    return rates | {
        "listed tracks in a secondary vertex": np.mean(track["vertex_displacement"] > 0),
        "tracks with s > 3": np.mean(signed > 3),
        "tracks with s < -3": np.mean(signed < -3),
    }


def _jet_numbers(jet: dict[str, np.ndarray]) -> dict[str, float]:
    """Rates and means of jet branches."""

    def mean(name: str) -> float:
        values = jet[name]
        return np.mean(values[np.isfinite(values) & (values >= 0)])

    with_vertex = jet["n_secondary_vertices"] > 0
    return {
        "listed tracks per jet": np.mean(jet["ntrack"]),
        "jets with a secondary vertex": np.mean(with_vertex),
        "jets with two or more": np.mean(jet["n_secondary_vertices"] > 1),
        "mean 2nd d0 significance": mean("track_2_d0_significance"),
        "mean 3rd d0 significance": mean("track_3_d0_significance"),
        "mean tracks over threshold": mean("n_tracks_over_d0_threshold"),
        "mean jet probability": mean("jet_prob"),
        "mean vertex mass [GeV]": mean("vertex_mass"),
        "mean vertex energy fraction": mean("vertex_energy_fraction"),
        "median vertex significance": np.median(jet["vertex_significance"][with_vertex]),
        "mean ΔR(vertex, jet)": mean("delta_r_vertex"),
    }


def report(path: Path) -> str:
    """Compare a file, as text: moments of all inputs, the largest differences, listed tracks, numbers by flavour."""
    features, label = read(path, JET_FLAVOR)
    inputs = moments(features, label)
    pulls = np.abs([row.pull for row in inputs])
    worst = [inputs[row] for row in np.argsort(pulls)[::-1][:10]]
    shares = _listed_shares(features, mix_weights(label))
    parts = [
        f"{len(label):,} jets of '{path}', weighted to the published flavour mix.",
        _moments_table(inputs),
        f"Difference of means over the published σ: median {np.median(pulls):.3f}, {(pulls > 0.3).sum()} inputs above 0.3. "
        "The largest:",
        _moments_table(worst),
        "Jets with at least so many listed tracks:",
        markdown(
            ["tracks", "here", "published"],
            [[str(number), f"{shares[number]:.3f}", f"{share:.3f}"] for number, share in LISTED.items()],
        ),
        "By flavour, here / in the check simulation; s = sign(D0·PHI)·|D0|/σ:",
        _flavour_table(by_flavour(path)),
    ]
    return "\n\n".join(parts)


def figures(path: Path, folder: Path) -> list[Path]:
    """Draw the main inputs of both schemas by flavour.

    Args:
        path: ROOT file.
        folder: Folder of the figures.

    Returns:
        Paths of the figures.
    """
    from kerastag import plots

    paths = [folder / f"{schema.name}.png" for schema, _ in _DRAWN]
    for target, (schema, names) in zip(paths, _DRAWN, strict=True):
        features, label = read(path, schema)
        figure, _ = plots.features(schema, features, label, names, f"{len(label):,} simulated jets, inputs of {schema.name}")
        plots.save(figure, target, dpi=50)
    return paths


def _listed_shares(features: np.ndarray, weight: np.ndarray) -> dict[int, float]:
    """Share of jets with at least the numbers of listed tracks of `LISTED`."""
    shares = {}
    for number in LISTED:
        column = JET_FLAVOR.index(f"track_{number - 1}_D0D0")
        shares[number] = weight[features[:, column] != JET_FLAVOR.defaults[column]].sum() / weight.sum()
    return shares


def _moments_table(rows: list[InputMoments]) -> str:
    """Moments as a Markdown table."""
    return markdown(
        ["input", "mean", "published", "σ", "published", "Δmean/σ", "σ ratio", "default"],
        [
            [
                row.name,
                f"{row.mean:.4g}",
                f"{row.reference_mean:.4g}",
                f"{row.sigma:.4g}",
                f"{row.reference_sigma:.4g}",
                f"{row.pull:+.3f}",
                f"{row.sigma / row.reference_sigma:.2f}",
                f"{row.default_fraction:.3f}",
            ]
            for row in rows
        ],
    )


def _flavour_table(table: dict[str, list[float]]) -> str:
    """Quantities by flavour beside the expected ones as a Markdown table."""
    rows = [
        [name, *(f"{value:.3g} / {expected:.3g}" for value, expected in zip(values, EXPECTED[name], strict=True))]
        for name, values in table.items()
    ]
    return markdown(["quantity", "b", "c", "light"], rows)


def _reference() -> list[tuple[str, float, float]]:
    """Name, mean and σ of each published input."""
    text = resources.files("kerastag.simulation").joinpath("jet_flavor_2016_moments.csv").read_text(encoding="utf-8")
    return [(row["input"], float(row["mean"]), float(row["sigma"])) for row in csv.DictReader(text.splitlines())]
