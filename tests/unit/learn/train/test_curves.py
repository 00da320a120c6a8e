"""The curves of a training: a table, and a page that needs nothing else."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET

from dicomnode.learn.train.curves import curves_csv, curves_html
from dicomnode.learn.train.loop import Row

ROWS = [
    Row(epoch=n, learning_rate=0.1 / n, loss=1.0 / n, score=0.1 * n, figures={"dice <liver>": 0.1 * n})
    for n in range(1, 6)
]


def test_every_epoch_is_a_row_of_the_table() -> None:
    read = list(csv.DictReader(io.StringIO(curves_csv(ROWS))))
    assert [int(row["epoch"]) for row in read] == [1, 2, 3, 4, 5]
    assert float(read[3]["loss"]) == 0.25
    assert float(read[3]["dice <liver>"]) == 0.4


def test_the_page_is_whole_in_itself_and_the_same_again() -> None:
    page = curves_html("Liver & co", ROWS, 5, "mean Dice")
    assert page == curves_html("Liver & co", ROWS, 5, "mean Dice")
    tree = ET.fromstring(page.partition("\n")[2])
    assert len(list(tree.iter("{http://www.w3.org/2000/svg}svg"))) == 2
    assert "NaN" not in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "epoch 5" in page


def test_a_training_without_an_epoch_has_a_page_too() -> None:
    assert "Nothing was trained" in curves_html("Liver", [], 0, "mean Dice")
