"""Each variation does what it says, and nothing else."""

import dataclasses

import numpy as np
import pytest

from kerastag.errors import UserError
from kerastag.simulation import calorimeter, extra_tracks, generator, tracking, variations
from kerastag.simulation.catalogue import CATALOGUE, UNAVAILABLE, UNCERTAINTIES
from kerastag.simulation.changes import Detector, Physics
from kerastag.simulation.generator import Generator
from kerastag.simulation.settings import SimulationSettings
from kerastag.simulation.unit import Simulation, in_split

SMALL = SimulationSettings(seed=5, events_per_unit=1500)


def varied(*names: str, **settings) -> SimulationSettings:
    return dataclasses.replace(SMALL, variations=names, **settings)


def assert_same(first, second, jets=slice(None), tracks=slice(None)) -> None:
    """Every column of two units is the same to the bit."""
    np.testing.assert_array_equal(first.counts[jets], second.counts)
    for ours, theirs, rows in ((first.jets, second.jets, jets), (first.tracks, second.tracks, tracks)):
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name][rows], theirs[name], err_msg=name)


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return Simulation(SMALL)


@pytest.fixture(scope="module")
def batch(simulation):
    """Events of b quarks with their random numbers."""
    batches, _ = simulation._generate(0)
    return batches[0]


def tracks_of(batch, name: str):
    """Tracks of the nominal detector and of a variation, and the rows of those that both have."""
    detector = variations.find(name).detector
    return batch.tracks(Detector(), False)[0], batch.tracks(detector, False)[0]


@pytest.mark.slow
def test_nominal_events_of_a_split_are_those_of_the_sample_that_comes_along():
    """The first unit of the test split, column by column as they are stored."""
    uproot = pytest.importorskip("uproot")
    import awkward as ak

    from kerastag.simulation import precision
    from tfds_jets.reading import SAMPLE_FILE

    unit = Simulation(SimulationSettings(split="test")).unit(0)
    jets, objects = precision.columns(unit)
    tracks = objects["track"]
    stored = uproot.open(SAMPLE_FILE)["jets"].arrays(entry_stop=6000)
    event = ak.to_numpy(stored["event"])
    rows = np.flatnonzero(in_split(event, "test") & (event < 8000))
    assert len(rows) == len(unit.counts) > 800
    for name, values in jets.items():
        np.testing.assert_array_equal(ak.to_numpy(stored[name][rows]), values, err_msg=name)
    for name, values in tracks.items():
        np.testing.assert_array_equal(ak.to_numpy(ak.flatten(stored[f"track_{name}"][rows])), values, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("names", [(), ("fakes", "jet_energy_resolution_up_10", "core_efficiency_down_5"), ("reseeded",)])
def test_events_of_a_split_are_the_same_without_the_others(names):
    full = Simulation(varied(*names, events_per_unit=800)).unit(1)
    part = Simulation(varied(*names, events_per_unit=800, split="test")).unit(1)
    rows = in_split(full.jets["event"], "test")
    assert_same(full, part, rows, np.repeat(rows, full.counts))


@pytest.mark.slow
def test_variations_made_together_are_those_made_alone(simulation):
    names = ("nominal", "d0_bias_10um", "fakes")
    settings = [varied(name, events_per_unit=400) for name in names]
    together = list(Simulation(settings[0]).units(0, settings))
    for alone, unit in zip(settings, together, strict=True):
        assert_same(Simulation(alone).unit(0), unit)
    assert_same(Simulation(varied(events_per_unit=400)).unit(0), together[0])


@pytest.mark.parametrize("parameter", ["d0", "z0"])
@pytest.mark.parametrize("strength", ["up_10", "up_30", "down_10", "down_30"])
@pytest.mark.parametrize("suffix", ["", "_untold"])
def test_resolution_is_that_asked_for(batch, parameter, strength, suffix):
    nominal, worse = tracks_of(batch, f"{parameter}_resolution_{strength}{suffix}")
    _, _, true = tracking.reconstruct(batch.events.final, batch.found, False, Detector())
    direction, percent = strength.split("_")
    factor = 1 + (1 if direction == "up" else -1) * int(percent) / 100
    column = ["d0", "z0"].index(parameter)
    np.testing.assert_allclose((worse.parameters - true)[:, column], factor * (nominal.parameters - true)[:, column], atol=1e-9)
    others = [number for number in range(5) if number != column]
    np.testing.assert_array_equal(worse.parameters[:, others], nominal.parameters[:, others])
    told = 1 if suffix else factor
    sigma, nominal_sigma = (np.sqrt(tracks.covariance[:, column, column]) for tracks in (worse, nominal))
    np.testing.assert_allclose(sigma, told * nominal_sigma, rtol=1e-6)
    np.testing.assert_array_equal(worse.covariance[:, 2:, 2:], nominal.covariance[:, 2:, 2:])
    assert (np.linalg.eigvalsh(worse.covariance / np.sqrt(_outer_variances(worse))) > 0).all()
    pull = (worse.parameters - true)[:, column] / sigma
    assert pull.std() == pytest.approx(factor / told, rel=0.02)


def _outer_variances(tracks) -> np.ndarray:
    variance = np.einsum("tii->ti", tracks.covariance)
    return variance[:, :, None] * variance[:, None, :]


@pytest.mark.parametrize("shift", [5, 10])
def test_biases_of_d0(batch, shift):
    nominal, plain = tracks_of(batch, f"d0_bias_{shift}um")
    np.testing.assert_allclose(plain.d0 - nominal.d0, shift * 1e-3, atol=1e-12)
    _, elliptic = tracks_of(batch, f"d0_bias_phi_{shift}um")
    np.testing.assert_allclose(elliptic.d0 - nominal.d0, shift * 1e-3 * np.cos(2 * nominal.phi), atol=1e-12)
    np.testing.assert_array_equal(plain.parameters[:, 1:], nominal.parameters[:, 1:])


@pytest.mark.parametrize("percent", [2, 5])
def test_lost_tracks_are_as_many_as_asked_and_the_others_stay(batch, percent):
    nominal, fewer = tracks_of(batch, f"track_efficiency_down_{percent}")
    lost = 1 - len(fewer) / len(nominal)
    assert lost == pytest.approx(percent / 100, abs=4 * np.sqrt(percent / 100 / len(nominal)))
    assert np.isin(fewer.parameters[:, 0], nominal.parameters[:, 0]).all()


def test_more_tracks_are_lost_in_dense_cores(batch):
    particles = batch.events.final.take(batch.found.particle)
    neighbours = tracking._neighbours(particles)
    survives = tracking._survives(particles, batch.found.uniform, variations.find("core_efficiency_down_5").detector)
    assert survives[neighbours == 0].all()
    for number in (1, 2):
        of_number = neighbours == number
        expected = 0.95**number
        error = np.sqrt(expected * (1 - expected) / of_number.sum())
        assert survives[of_number].mean() == pytest.approx(expected, abs=4 * error)


def test_a_larger_loss_takes_the_tracks_of_a_smaller_one_too(batch):
    two, five = (tracks_of(batch, f"track_efficiency_down_{percent}")[1].d0 for percent in (2, 5))
    assert np.isin(five, two).all()


def test_fakes_are_as_many_as_asked_and_the_others_stay(batch):
    nominal, _ = batch.tracks(Detector(), False)
    tracks, origin = batch.tracks(Detector(fakes=0.05), False)
    fake = origin == generator.FAKE
    assert fake.sum() / len(nominal) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 / len(nominal)))
    assert (np.diff(tracks.event) >= 0).all()
    np.testing.assert_array_equal(tracks.take(~fake).parameters, nominal.parameters)
    assert np.abs(tracks.d0[fake]).std() > 3 * np.median(np.abs(nominal.d0))
    doubled, _ = batch.tracks(Detector(fakes=0.05, d0_bias=0.01), False)
    np.testing.assert_allclose(doubled.d0 - tracks.d0, 0.01, atol=1e-12)


@pytest.mark.slow
def test_tracks_of_pile_up_are_as_many_as_asked_and_lie_near(batch):
    nominal, _ = batch.tracks(Detector(), False)
    counts = []
    for mean in (20, 60):
        tracks, origin = batch.tracks(Detector(pile_up=mean), False)
        added = tracks.take(origin == generator.PILE_UP)
        np.testing.assert_array_equal(tracks.take(origin != generator.PILE_UP).parameters, nominal.parameters)
        assert np.abs(added.z0).max() < extra_tracks.PILE_UP_WINDOW
        # Flat within the window, which is short against the spread of the collisions.
        assert added.z0.std() == pytest.approx(extra_tracks.PILE_UP_WINDOW / np.sqrt(3), rel=0.1)
        counts.append(len(added) / batch.events.count)
    assert counts[1] / counts[0] == pytest.approx(3, rel=0.15)
    # A collision in forty of those around lies within 2 mm, and leaves a few dozen tracks of pT > 0.1 GeV.
    assert 5 < counts[0] / (20 * 0.0245) < 50


@pytest.mark.parametrize(("direction", "sign"), [("up", 1), ("down", -1)])
def test_scales_of_momenta(batch, direction, sign):
    nominal, scaled = tracks_of(batch, f"momentum_scale_{direction}_1")
    np.testing.assert_allclose(scaled.pt / nominal.pt, 1 + 0.01 * sign)
    np.testing.assert_array_equal(scaled.parameters[:, :4], nominal.parameters[:, :4])
    np.testing.assert_array_equal(scaled.charge, nominal.charge)
    jets, other = batch.jets(Detector()), batch.jets(variations.find(f"jet_energy_scale_{direction}_2").detector)
    rows, others = _same_jets(jets, other)
    assert len(rows) > 0.9 * len(jets)
    np.testing.assert_allclose(other.pt[others] / jets.pt[rows], 1 + 0.02 * sign)
    assert other.raw_pt.min() >= calorimeter.MINIMUM_PT
    assert sign * (len(other) - len(jets)) > 0


def test_jets_are_smeared_more(batch):
    jets, other = batch.jets(Detector()), batch.jets(Detector(jet_energy_resolution=0.1))
    rows, others = _same_jets(jets, other)
    ratio = other.pt[others] / jets.pt[rows]
    far = jets.raw_pt[rows] > 30  # those near the threshold stay only if they are lifted
    assert ratio[far].std() == pytest.approx(0.1, rel=0.15)
    assert ratio[far].mean() == pytest.approx(1, abs=0.02)


def _same_jets(jets, other) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the jets of the same direction, which scales do not change."""
    _, rows, others = np.intersect1d(jets.phi, other.phi, return_indices=True)
    return rows, others


def test_nominal_jets_are_those_clustered_above_the_threshold(batch):
    """Clustering goes below it, so that a scale can lift jets above."""
    expected = calorimeter.cluster(batch.towers, batch.tower_noise, batch.events.count)
    for field in dataclasses.fields(expected):
        np.testing.assert_array_equal(getattr(batch.jets(Detector()), field.name), getattr(expected, field.name))


def test_moved_beam_spot_moves_prompt_tracks(batch):
    nominal, moved = tracks_of(batch, "beam_spot_20um")
    prompt = np.abs(nominal.d0) < 0.1
    expected = 0.02 * np.sin(nominal.phi)
    np.testing.assert_allclose((moved.d0 - nominal.d0)[prompt], expected[prompt], atol=2e-3)


@pytest.fixture(scope="module")
def decays():
    """Function from a variation and a process to mean pT and charged decay products of heavy hadrons, and event numbers."""
    made = {}

    def measure(name: str, process: str = "bottom", count: int = 1500) -> dict[str, float]:
        if (name, process, count) not in made:
            events = Generator(process, varied(name)).generate(count, seed=3)
            bottom = np.isin(np.abs(events.hadrons.pdg), generator.BOTTOM_HADRONS)
            charged = events.final.charge != 0
            heavy = bottom if process == "bottom" else ~bottom
            origin = generator.BOTTOM if process == "bottom" else generator.CHARM
            made[name, process, count] = {
                "pt": events.hadrons.pt[heavy].mean(),
                "decay products": (charged & (events.origin == origin)).sum() / heavy.sum(),
                "charged": charged.sum() / events.count,
                "heavy hadrons": len(events.hadrons) / events.count,
            }
        return made[name, process, count]

    return measure


@pytest.mark.parametrize(
    ("higher", "lower", "process", "quantity"),
    [
        ("shower_scale_down_2", "shower_scale_up_2", "light", "charged"),
        ("rfactb_down", "rfactb_up", "bottom", "pt"),
        ("rfactc_down", "rfactc_up", "charm", "pt"),
        ("b_multiplicity_up", "b_multiplicity_down", "bottom", "decay products"),
        ("c_multiplicity_up_0.3", "c_multiplicity_down_0.3", "charm", "decay products"),
    ],
)
def test_physics_moves_in_the_right_direction(decays, higher, lower, process, quantity):
    assert decays(higher, process)[quantity] > 1.01 * decays(lower, process)[quantity]


@pytest.mark.slow
def test_gluons_split_more_often_and_less_often():
    """Hadrons of b and c in events without a heavy quark at their start; at large momenta there are many."""
    heavy = {}
    for direction in ("up", "down"):
        settings = varied(f"gluon_splitting_{direction}", minimum_pthat=300.0)
        heavy[direction] = len(Generator("light", settings).generate(4000, seed=3).hadrons)
    # Hadrons come in pairs, so that their number varies by the root of twice itself.
    assert heavy["up"] - heavy["down"] > 3 * np.sqrt(2 * (heavy["up"] + heavy["down"]))


def test_multiparton_interactions_double_the_particles(decays):
    assert decays("mpi", "light", 60)["charged"] > 2 * decays("reseeded", "light", 60)["charged"]


@pytest.mark.parametrize("name", [name for name in variations.names("physics") if name != "reseeded"])
def test_every_physics_variation_changes_the_events(decays, name):
    """Pythia takes its lines, and other events come out of the same seed."""
    process = "charm" if name.startswith("rfactc") else "bottom"
    assert decays(name, process, 60) != decays("reseeded", process, 60)


# Numbers of the tune A14 with NNPDF2.3LO, ATL-PHYS-PUB-2014-021, table 3.
A14 = {
    "SpaceShower:pT0Ref": 1.56,
    "SpaceShower:pTmaxFudge": 0.91,
    "SpaceShower:pTdampFudge": 1.05,
    "SpaceShower:alphaSvalue": 0.127,
    "TimeShower:alphaSvalue": 0.127,
    "BeamRemnants:primordialKThard": 1.88,
    "MultipartonInteractions:pT0Ref": 2.09,
    "MultipartonInteractions:alphaSvalue": 0.126,
    "ColourReconnection:range": 1.71,
}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("tune_a14", A14),
        ("peterson", {"StringZ:usePetersonB": True, "StringZ:usePetersonC": True}),
        ("vincia", {"PartonShowers:model": 2}),
        ("colour_reconnection_qcd", {"ColourReconnection:mode": 1}),
        ("colour_reconnection_gluon_move", {"ColourReconnection:mode": 2}),
        ("mpi_without_reconnection", {"PartonLevel:MPI": True, "ColourReconnection:reconnect": False}),
    ],
)
def test_pythia_is_told_what_the_name_says(name, asked):
    import pythia8mc

    pythia = pythia8mc.Pythia("", False)
    pythia.readString("Print:quiet = on")
    before = {setting: value_of(pythia, setting, value) for setting, value in asked.items()}
    for line in variations.changes((name,))[1].pythia:
        assert pythia.readString(line)
    assert {setting: value_of(pythia, setting, value) for setting, value in asked.items()} == asked != before


def value_of(pythia, setting, like):
    """A setting of Pythia of the type of a value."""
    read = {bool: pythia.settings.flag, int: pythia.settings.mode, float: pythia.settings.parm}[type(like)]
    return read(setting)


def test_dire_is_not_in_this_pythia():
    """The reason that the catalogue gives; should Pythia bring it back, the variation can be added."""
    import pythia8mc

    assert "dire" in UNAVAILABLE
    pythia = pythia8mc.Pythia("", False)
    pythia.readString("Print:quiet = on")
    assert not pythia.readString("PartonShowers:model = 3")
    with pytest.raises(UserError, match="left Pythia"):
        variations.find("dire")


def test_physics_has_the_numbers_of_the_nominal_events():
    unit = Simulation(varied("reseeded", split="test")).unit(2)
    assert in_split(unit.jets["event"], "test").all()
    assert unit.jets["event"].min() >= 2 * 1500
    assert unit.jets["event"].max() < 3 * 1500


def test_names_and_numbers():
    names = variations.names()
    assert len(set(names)) == len(names)
    assert set(variations.names("detector")) | set(variations.names("physics")) == set(names)
    for name in names:
        found = variations.find(name)
        assert found.name == name
        assert "{" not in found.help
        assert variations.find(found.reference)
    assert variations.find("d0_resolution_up_12.5").detector == Detector(d0_resolution=0.125)
    assert variations.find("fakes") == dataclasses.replace(variations.find("fakes_5"), name="fakes")
    for wrong in ("d0_resolution", "d0_bias_um", "rfactb", "fakes_", "nominal_3"):
        with pytest.raises(UserError, match="no variation"):
            variations.find(wrong)


def test_changes_add_up_and_a_tune_comes_first():
    detector, physics = variations.changes(("rfactb_up", "tune_a14", "d0_bias_5um", "d0_bias_10um", "fakes"))
    assert detector == Detector(d0_bias=0.015, fakes=0.05)
    assert physics == Physics(("Tune:pp = 21", "StringZ:rFactB = 1.055"))
    assert variations.changes(()) == (Detector(), Physics())


def test_requests():
    assert variations.samples(["fakes+mpi", "fakes", "fakes"]) == [("fakes", "mpi"), ("fakes",)]
    assert [names for (names,) in variations.samples(["all"])] == list(variations.names())
    assert [names for (names,) in variations.samples(["uncertainties"])] == list(UNCERTAINTIES)
    with pytest.raises(UserError, match="no variation 'fake'"):
        variations.samples(["nominal+fake"])


def test_pseudo_data_are_mixed_by_their_seed_alone():
    mixtures = [variations.pseudo_data(seed) for seed in range(200)]
    assert mixtures[3] == variations.pseudo_data(3)
    assert len(set(mixtures)) == 200
    quantities = {line.quantity for line in CATALOGUE if line.quantity}
    assert np.mean([len(mixture) for mixture in mixtures]) == pytest.approx(len(quantities) / 2, rel=0.1)
    used = set()
    for mixture in mixtures:
        lines = [next(line for line in CATALOGUE if line.match(name)) for name in mixture]
        assert len({line.quantity for line in lines}) == len(lines)
        used |= {line.name for line in lines}
    assert used == {line.name for line in CATALOGUE if line.quantity}
    found = variations.find("pseudo_data_3")
    assert (found.detector, found.physics) == variations.changes(mixtures[3])
    assert all(name in found.help for name in mixtures[3])


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(UserError, match="Pile-up"):
        SimulationSettings(beam_spot=True, variations=("pileup_20",))
    with pytest.raises(UserError, match="split"):
        SimulationSettings(split="tset")
    with pytest.raises(UserError, match="no variation"):
        SimulationSettings(variations=("none",))
