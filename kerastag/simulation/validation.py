"""A simulated file beside what is known of the published data set and of a check simulation.

Moments of the 184 inputs are those of Jet Flavor 2016 over its training jets, defaults left out, in its flavour mix; jets
here are weighted to that mix first. Numbers by flavour come from an independent simulation with the same definitions.
"""

import csv
import dataclasses
from importlib import resources
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from kerastag.errors import UserError
from kerastag.schema import DEEPCSV, JET_FLAVOR
from kerastag.schema.structure import Schema
from kerastag.tables import markdown
from tfds_jets import reading

MIX = {"b": 0.393, "c": 0.120, "light": 0.487}
# Share of the published jets with at least 2, 3, … listed tracks.
LISTED = {2: 0.914, 3: 0.739, 4: 0.537, 5: 0.356, 6: 0.218}
# More jets than these say nothing new.
MOST_JETS = 300_000

# Quantity: values for b, c and light jets in the check simulation (3,275-3,719 jets each).
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


@dataclasses.dataclass
class Moments:
    """Moments of one input.

    Attributes:
        name: Feature.
        mean, sigma: Ours, defaults left out.
        reference_mean, reference_sigma: Of the published jets.
        default_fraction: Ours.
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
    """Features `(jets, features)` and labels `(jets,)` of a file, cleaned as the data set builder does."""
    if not path.is_file():
        raise UserError(f"There is no file '{path}'.")
    cleaning = reading.Cleaning.none(schema)
    features, label = [], []
    for chunk in reading.read([reading.RootFile.of(path)], schema, "", cleaning):
        features.append(chunk.features)
        label.append(chunk.label)
        if sum(map(len, label)) > MOST_JETS:
            break
    return np.concatenate(features)[:MOST_JETS], np.concatenate(label)[:MOST_JETS]


def moments(features: np.ndarray, label: np.ndarray) -> list[Moments]:
    """Moments of all 184 inputs in the published flavour mix."""
    weight = mix_weights(label)
    result = []
    for column, (name, mean, sigma) in enumerate(_reference()):
        default = JET_FLAVOR.defaults[column]
        present = features[:, column] != default
        values, own = features[present, column].astype(np.float64), weight[present]
        our_mean = np.average(values, weights=own)
        our_sigma = np.sqrt(np.average((values - our_mean) ** 2, weights=own))
        absent = weight[~present].sum() / weight.sum()
        result.append(Moments(name, our_mean, our_sigma, mean, sigma, absent))
    return result


def mix_weights(label: np.ndarray) -> np.ndarray:
    """Weight of each jet that gives the published flavour mix.

    Raises:
        UserError: if a flavour is missing.
    """
    counts = np.bincount(label, minlength=len(MIX))
    if not counts.all():
        raise UserError("The file lacks jets of some flavour, so it cannot be compared with the published mix.")
    return (np.array(list(MIX.values())) * len(label) / counts)[label]


def by_flavour(path: Path) -> dict[str, list[float]]:
    """The quantities of `EXPECTED` for b, c and light jets."""
    with uproot.open(path) as file:
        tree = file[JET_FLAVOR.tree]
        jets = tree.arrays([*_JET_BRANCHES, "ntrack"], entry_stop=MOST_JETS, library="np")
        tracks = tree.arrays([f"track_{name}" for name in ("D0", "D0D0", "PHI", "vertex_displacement")], entry_stop=MOST_JETS)
    flat = {name: ak.to_numpy(ak.flatten(tracks[name])) for name in tracks.fields}
    owner = np.repeat(jets["jet_parton_flavour"], jets["ntrack"])
    significance = np.abs(flat["track_D0"]) / np.sqrt(flat["track_D0D0"])
    signed = np.sign(flat["track_D0"] * flat["track_PHI"]) * significance
    table: dict[str, list[float]] = {name: [] for name in EXPECTED}
    for flavour in (5, 4, 0):
        jet = {name: values[jets["jet_parton_flavour"] == flavour] for name, values in jets.items()}
        own = owner == flavour
        numbers = _jet_numbers(jet)
        numbers["listed tracks in a secondary vertex"] = np.mean(flat["track_vertex_displacement"][own] > 0)
        for limit in (2, 3, 5, 10, 25):
            numbers[f"tracks with |D0|/σ > {limit}"] = np.mean(significance[own] > limit)
        numbers["tracks with s > 3"] = np.mean(signed[own] > 3)
        numbers["tracks with s < -3"] = np.mean(signed[own] < -3)
        for name in EXPECTED:
            table[name].append(float(numbers[name]))
    return table


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
    """Everything as text: moments of all inputs, the largest differences, listed tracks, numbers by flavour."""
    features, label = read(path, JET_FLAVOR)
    found = moments(features, label)
    pulls = np.abs([row.pull for row in found])
    worst = [found[number] for number in np.argsort(pulls)[::-1][:10]]
    weight = mix_weights(label)
    listed = _listed(features, weight)
    parts = [
        f"{len(label):,} jets of '{path}', weighted to the published flavour mix.",
        _moments_table(found),
        f"Difference of means over the published σ: median {np.median(pulls):.3f}, {(pulls > 0.3).sum()} inputs above 0.3. "
        "The largest:",
        _moments_table(worst),
        "Jets with at least so many listed tracks:",
        markdown(
            ["tracks", "here", "published"],
            [[str(number), f"{listed[number]:.3f}", f"{share:.3f}"] for number, share in LISTED.items()],
        ),
        "By flavour, here / in the check simulation; s = sign(D0·PHI)·|D0|/σ:",
        _flavour_table(by_flavour(path)),
    ]
    return "\n\n".join(parts)


def figures(path: Path, folder: Path) -> list[Path]:
    """Draw the main inputs of both schemas by flavour into `folder`; return the figures' paths."""
    from kerastag import plots

    drawn = []
    for schema, names in _DRAWN:
        features, label = read(path, schema)
        figure, _ = plots.features(schema, features, label, names, f"{len(label):,} simulated jets, inputs of {schema.name}")
        drawn.append(folder / f"{schema.name}.png")
        plots.save(figure, drawn[-1], dpi=50)
    return drawn


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


def _listed(features: np.ndarray, weight: np.ndarray) -> dict[int, float]:
    """Share of jets with at least so many listed tracks."""
    shares = {}
    for number in LISTED:
        column = JET_FLAVOR.index(f"track_{number - 1}_D0D0")
        shares[number] = weight[features[:, column] != JET_FLAVOR.defaults[column]].sum() / weight.sum()
    return shares


def _moments_table(rows: list[Moments]) -> str:
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
    cells = {
        name: [f"{ours:.3g} / {theirs:.3g}" for ours, theirs in zip(values, EXPECTED[name], strict=True)]
        for name, values in table.items()
    }
    return markdown(["quantity", "b", "c", "light"], [[name, *row] for name, row in cells.items()])


def _reference() -> list[tuple[str, float, float]]:
    """Name, mean and σ of each published input."""
    text = resources.files("kerastag.simulation").joinpath("jet_flavor_2016_moments.csv").read_text(encoding="utf-8")
    return [(row["input"], float(row["mean"]), float(row["sigma"])) for row in csv.DictReader(text.splitlines())]
