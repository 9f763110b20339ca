from kerastag.attacks import CLEAN, Condition
from kerastag.evaluation.input_scan import RESULT, markdown, table
from kerastag.files import read_json, write_json
from kerastag.results import Interval, Seeds

FGSM = Condition("fgsm", 0.01)


def rows(seeds):
    """Two sets of inputs, clean and attacked, with the areas of some seeds."""
    return [
        {"inputs": inputs, "features": features, "training": "nominal", "condition": condition.label}
        | {"area": Interval.around(0.9461, 0.0025), "area_seeds": Seeds(seeds)}
        | {"loss": Interval.around(0.0, 0.0011), "loss_seeds": Seeds(tuple(0.01 * seed for seed in seeds))}
        for inputs, features in (("jet", 3), ("jet + track", 20))
        for condition in (CLEAN, FGSM)
    ]


def test_a_line_per_set_of_inputs_with_clean_area_and_loss_under_attack():
    header, lines = table(rows((0.95,)), "BvL")
    assert header == ["inputs", "features", "training", "clean BvL AUC", f"loss, {FGSM.label}"]
    assert lines[0] == ["jet", "3", "nominal", "0.9461 ± 0.0025", "0.0000 ± 0.0011"]
    assert [line[0] for line in lines] == ["jet", "jet + track"]


def test_the_spread_is_told_where_there_are_several_seeds():
    _, lines = table(rows((0.94, 0.95, 0.96)), "BvL")
    assert lines[0][3:] == ["0.9461 ± 0.0025 (seeds 0.010)", "0.0000 ± 0.0011 (seeds 0.00010)"]


def test_a_small_spread_keeps_its_digits():
    _, lines = table(rows((0.95, 0.95001)), "BvL")
    assert lines[0][3].endswith("(seeds 0.000007)")


def test_rows_come_back_from_a_file_as_they_were(tmp_path):
    write_json(tmp_path / RESULT, {"rows": rows((0.94, 0.95))})
    stored = read_json(tmp_path / RESULT)["rows"]
    assert stored == rows((0.94, 0.95))
    assert markdown(stored, "BvL") == markdown(rows((0.94, 0.95)), "BvL")
