"""Names with numbers in them, and what they make."""

import dataclasses
import fractions
import re

import pytest

from kerastag import catalogue
from kerastag.catalogue import Catalogue, Entry, imported
from kerastag.errors import UserError
from kerastag.recipes import OF_DEFENSES, Settings

THINGS = Catalogue(
    "thing",
    Entry("plain", "a zero", "fractions:Fraction"),
    Entry("over-N", "one Nth", "fractions:Fraction", {"N": "denominator"}, {"numerator": 1}),
    Entry("N-of-M", "N Mths", "fractions:Fraction", {"N": "numerator", "M": "denominator"}),
    Entry("given", "what is offered", "fractions:Fraction", takes=("numerator",)),
)


def test_numbers_in_a_name_are_arguments():
    assert THINGS.build("plain") == 0
    assert THINGS.build("over-20") == fractions.Fraction(1, 20)
    assert THINGS.build("3-of-4") == fractions.Fraction(3, 4)


def test_titles_have_the_numbers_of_a_name():
    of = Entry("N-of-M", "", "fractions:Fraction", {"N": "numerator", "M": "denominator"}, title="N parts of M")
    assert of.titled("3-of-4") == "3 parts of 4"
    assert THINGS.find("over-20").titled("over-20") == "OVER-20"


def test_an_entry_takes_of_what_is_offered_what_it_knows():
    assert THINGS.build("given", numerator=7, other=1) == 7
    assert THINGS.build("plain", numerator=7) == 0


@pytest.mark.parametrize("name", ["", "over-", "over-0", "over-N", "over-1.5", "plain ", "over-123456", "3-of"])
def test_other_names_are_refused_with_those_that_exist(name):
    assert name not in THINGS
    with pytest.raises(UserError, match=f"There is no thing '{name}'; choose one of plain, over-N, N-of-M, given"):
        THINGS.build(name)


@pytest.mark.parametrize(
    ("name", "meant"), [("Lipschitz-MLP", "lipschitz_mlp"), ("particle-net", "particle_net"), ("pfn", "pfn")]
)
def test_a_model_given_as_a_defence_is_known(name, meant):
    with pytest.raises(UserError, match=f"^There is no defence '{name}'; it is a model: --model {meant}[.]$"):
        Settings.resolve({"defense": name})
    with pytest.raises(UserError, match="choose one of nominal, fgsm"):
        Settings.resolve({"defense": name[:3] + "x"})


def test_defences_use_settings_that_there_are():
    for entry in catalogue.DEFENSES.entries:
        assert set(entry.uses) <= set(OF_DEFENSES)
    assert set(OF_DEFENSES) <= {field.name for field in dataclasses.fields(Settings)}


CATALOGUES = [value for value in vars(catalogue).values() if isinstance(value, Catalogue)]


@pytest.mark.parametrize("entry", [entry for kind in CATALOGUES for entry in kind.entries], ids=lambda entry: entry.name)
def test_every_entry_can_be_imported_and_says_what_it_is(entry):
    assert callable(imported(entry.path))
    assert entry.help and all(letter in entry.name for letter in entry.numbers)


@pytest.mark.parametrize("entry", catalogue.DEFENSES.entries[1:], ids=lambda entry: entry.name)
def test_every_defence_names_where_it_is_from(entry):
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|\(\d{4}\) \d+", entry.help)
