"""Jets of a negative tagger: twice is the identity, light jets do not care, and flipped tracks of a file give the same."""

import dataclasses
import itertools

import awkward as ak
import numpy as np
import pytest
import uproot
from scipy import stats

from kerastag.errors import UserError
from kerastag.schema import ALL, DEEPCSV, DEEPFLAVOUR, DEEPNTUPLE, JET_FLAVOR, Group, Schema, Variable
from kerastag.schema.negative import flipping, negative
from kerastag.simulation import generator
from tests.conftest import NTUPLE, needs_ntuple
from tfds_jets import reading, sources
from tfds_jets.cleaning import Cleaning

FLIPPING = (JET_FLAVOR, DEEPCSV, DEEPNTUPLE)
MINE = Schema(
    name="mine",
    groups=(
        Group("jet", (Variable("sip", "sip", default=-2.0, special=(0.5,), valid_max=4.0, flips=True), Variable("pt", "pt"))),
        Group(
            "track",
            (Variable("sip_{slot}", "sip", default=-1.0, flips=True), Variable("dr_{slot}", "dr")),
            slots=3,
            descends=True,
        ),
    ),
    classes=JET_FLAVOR.classes,
)


def first_jets(schema, path=reading.SAMPLE_FILE):
    """The first jets of the sample that comes along, or of another file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "CHUNK", 20_000)
        return next(reading.read([reading.RootFile(path, "0" * 64)], schema, "", Cleaning.none(schema)))


@pytest.fixture(scope="module")
def sample():
    return {schema.name: first_jets(schema) for schema in (JET_FLAVOR, DEEPCSV)}


def test_cells_and_slots_of_a_few_jets():
    x = np.array(
        [
            # sip, pt, sips of tracks, dr of tracks
            [1.5, 40, 9, 3, -4, 0.1, 0.2, 0.3],
            [2.0, 40, 9, 3, -1, 0.1, 0.2, 0.0],  # the negative of 2 is the default; two tracks
            [-2.0, 40, 1, -1, -1, 0.1, 0.0, 0.0],  # absent; a track whose negative is the default
            [0.5, 40, -1, -1, -1, 0.0, 0.0, 0.0],  # special, no tracks
            [-0.5, 40, -1, 2, -1, 0.0, 0.2, 0.0],  # the negative is special; a hole before the track
            [-5.0, 40, 3, -1, -4, 0.1, 0.4, 0.2],  # the negative is out of range; the second track lacks the sign alone
        ],
        np.float32,
    )
    expected = np.array(
        [
            [-1.5, 40, 4, -3, -9, 0.3, 0.2, 0.1],
            [2.0, 40, -3, -9, -1, 0.2, 0.1, 0.0],
            [-2.0, 40, 1, -1, -1, 0.1, 0.0, 0.0],
            [0.5, 40, -1, -1, -1, 0.0, 0.0, 0.0],
            [-0.5, 40, -1, -2, -1, 0.0, 0.2, 0.0],
            [-5.0, 40, 4, -1, -3, 0.2, 0.4, 0.1],
        ],
        np.float32,
    )
    before = x.copy()
    np.testing.assert_array_equal(negative(MINE, x), expected)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("schema", [JET_FLAVOR, DEEPCSV], ids=lambda schema: schema.name)
def test_twice_is_the_identity_bit_for_bit(schema, sample):
    x = sample[schema.name].features
    flipped = negative(schema, x)
    assert negative(schema, flipped).tobytes() == x.tobytes()
    np.testing.assert_array_equal((flipped == schema.defaults).sum(axis=1), (x == schema.defaults).sum(axis=1))
    np.testing.assert_array_equal(flipped[:, schema.integer], x[:, schema.integer])
    assert (flipped != x)[:, flipping(schema)].mean() > 0.3


@needs_ntuple
def test_the_ntuple_flips_back():
    x = first_jets(DEEPNTUPLE, NTUPLE).features
    flipped = negative(DEEPNTUPLE, x)
    assert negative(DEEPNTUPLE, flipped).tobytes() == x.tobytes() and (flipped != x).any(axis=1).mean() > 0.9


def columns(schema, *names):
    """Columns of the six slots of tracks."""
    return ([schema.index(name.format(slot)) for slot in range(6)] for name in names)


def test_slots_descend_again(sample):
    """By the value that the files sort by."""
    x = sample["deepcsv"].features
    key, distance = columns(DEEPCSV, "trackSip2dSig_{}", "trackDeltaR_{}")
    for features in (x, negative(DEEPCSV, x)):
        filled = features[:, distance] != 0
        assert not np.diff(filled.astype(int)).any(where=np.diff(filled.astype(int)) > 0)
        assert (np.diff(features[:, key]) <= 0)[filled[:, 1:]].all()


def lifetime_significances(schema, features):
    """Significances in the plane with the sign of the lifetime, `(jets, 6)`; NaN where there is none."""
    if schema is DEEPCSV:
        (key,) = columns(schema, "trackSip2dSig_{}")
        few = features[:, schema.index("jetNSelectedTracks")] <= 6  # of the others the most negative tracks are not there
        return np.where((features[:, key] != 0) & few[:, None], features[:, key], np.nan)
    d0, variance, phi = (features[:, those] for those in columns(schema, "track_{}_D0", "track_{}_D0D0", "track_{}_PHI"))
    return np.where(variance > 0, np.copysign(d0, d0 * np.sin(phi)) / np.sqrt(np.where(variance > 0, variance, 1)), np.nan)


def one_of_each_jet(values, generator):
    """A random track of each jet that has any, since those of a jet are not independent."""
    slot = np.argmax(np.where(np.isnan(values), -1.0, generator.random(values.shape)), axis=1)
    chosen = values[np.arange(len(values)), slot]
    return chosen[~np.isnan(chosen)]


@pytest.mark.parametrize("schema", [JET_FLAVOR, DEEPCSV], ids=lambda schema: schema.name)
def test_light_jets_are_symmetric_and_b_jets_are_not(schema, sample):
    """Plain significances of half of the jets against flipped ones of the others, by Kolmogorov and Smirnov."""
    jets, generator = sample[schema.name], np.random.default_rng(0)
    plain, flipped = (lifetime_significances(schema, x) for x in (jets.features, negative(schema, jets.features)))
    first = generator.random(len(jets)) < 0.5
    tests = {
        flavour: stats.ks_2samp(*(one_of_each_jet(values[rows & (jets.label == label)], generator) for values, rows in halves))
        for halves in [((plain, first), (flipped, ~first))]
        for label, flavour in enumerate(schema.class_names)
    }
    assert tests["light"].pvalue > 0.01 and tests["light"].statistic < 0.05
    assert tests["b"].pvalue < 1e-12 and tests["b"].statistic > 0.1


def test_what_is_not_symmetric_in_light_jets_are_strange_hadrons():
    """Beyond 3 σ twice as many tracks are positive as negative; without those of strange hadrons as many, within errors."""
    with uproot.open(f"{reading.SAMPLE_FILE}:jets") as tree:
        tracks = tree.arrays(["track_D0", "track_D0D0", "track_PHI", "track_origin", "jet_hadron_flavour"])
    light = tracks[tracks.jet_hadron_flavour == 0]
    signed = np.sign(light.track_D0 * np.sin(light.track_PHI)) * abs(light.track_D0) / np.sqrt(light.track_D0D0)
    strange = light.track_origin == generator.STRANGE
    above, below = (
        {of: int(ak.sum(far[rows])) for of, rows in (("strange", strange), ("other", ~strange))}
        for far in (signed > 3, signed < -3)
    )
    assert above["strange"] > 1.5 * below["strange"] and above["strange"] > 5 * above["other"]
    assert abs(above["other"] - below["other"]) < 3 * np.sqrt(above["other"] + below["other"])


def with_flipped_tracks():
    """Reading of the file in which d0 and z0 of all tracks have the other sign before six of them are chosen."""
    tracks = JET_FLAVOR.groups[2]
    other_signs = {name: f"-({name})" for name in ("track_D0", "track_Z0")}
    variables = [
        dataclasses.replace(variable, branch=other_signs.get(variable.branch, variable.branch)) for variable in tracks.variables
    ]
    tracks = dataclasses.replace(tracks, variables=tuple(variables), order="-track_D0 / sqrt(track_D0D0)")
    return dataclasses.replace(JET_FLAVOR, groups=(*JET_FLAVOR.groups[:2], tracks))


# Products of quantities of a track that a mirror leaves as they are, most of which a flip of the lifetime turns round.
PRODUCTS = (("D0", "PHI"), ("Z0", "THETA"), ("D0", "QOVERP"), ("PHI", "QOVERP"), ("D0", "vertex_delta_phi_jet"), ("PHID0",))


def test_a_mirror_gives_what_flipped_tracks_of_the_file_give(sample):
    """The same distributions for each flavour, although other tracks lead."""
    mirrored, read = negative(JET_FLAVOR, sample["jet_flavor"].features), first_jets(with_flipped_tracks()).features
    label = sample["jet_flavor"].label
    pvalues = []
    for names, flavour, slot in itertools.product(PRODUCTS, range(3), (0, 3)):
        columns = [JET_FLAVOR.index(f"track_{slot}_{name}") for name in names]
        products = [features[label == flavour][:, columns].prod(axis=1) for features in (mirrored, read)]
        pvalues.append(stats.ks_2samp(*products).pvalue)
    assert (mirrored != read).any(axis=1).mean() > 0.9
    assert min(pvalues) > 0.01 / len(pvalues)


def test_what_has_no_signs_is_refused_in_a_sentence():
    assert [name for name, schema in ALL.items() if any(feature.flips for feature in schema.features)] == [
        schema.name for schema in FLIPPING
    ]
    with pytest.raises(UserError, match=r"^deepflavour has no inputs that can be flipped .* = true for those that have\.$"):
        negative(DEEPFLAVOUR, np.zeros((1, 613), np.float32))
