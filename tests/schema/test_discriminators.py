"""Which discriminators classes give, and which are refused."""

import pytest

from kerastag.errors import UserError
from kerastag.schema import SCHEMAS
from kerastag.schema.discriminators import Discriminator, check, default


def test_of_flavours_in_any_order():
    for names in (("b", "c", "light"), ("light", "c", "b")):
        of_flavours = {one.name: (dict(one.over), dict(one.against)) for one in default(names)}
        assert of_flavours == {
            "BvL": ({"b": 1}, {"light": 1}),
            "CvB": ({"c": 1}, {"b": 1}),
            "CvL": ({"c": 1}, {"light": 1}),
            "BvC": ({"b": 1}, {"c": 1}),
        }
    assert all(schema.headline == ("BvL", "CvB", "CvL") for schema in SCHEMAS.values())


def test_finer_classes_count_as_their_flavour():
    found = {one.name: one for one in default(("b", "c", "uds", "g", "tau"))}
    assert dict(found["BvL"].against) == {"uds": 1, "g": 1}
    assert {"uds_vs_g", "b_vs_uds", "b_vs_tau"} <= found.keys() and len(found) == 4 + 9


def test_each_class_against_each_other_without_flavours():
    assert [one.name for one in default(("signal", "background"))] == ["signal_vs_background"]
    assert [one.name for one in default(("x", "y", "z"))] == ["x_vs_y", "x_vs_z", "y_vs_z"]


@pytest.mark.parametrize(
    ("name", "over", "against", "message"),
    [
        ("Bv Rest", (("b", 1.0),), (("c", 1.0),), "letters, digits"),
        ("BvT", (("b", 1.0),), (("tau", 1.0),), "'tau'"),
        ("margin", (("b", 1.0),), (("c", 1.0),), "another meaning"),
        ("BvL", (("b", 1.0),), (), "other ones to reject"),
        ("BvL", (("b", 1.0),), (("b", 1.0),), "other ones to reject"),
        ("BvL", (("b", 0.0),), (("c", 1.0),), "weight 0"),
    ],
)
def test_what_means_nothing_is_refused(name, over, against, message):
    with pytest.raises(UserError, match=message):
        check([Discriminator(name, over, against)], ("b", "c", "light"))
