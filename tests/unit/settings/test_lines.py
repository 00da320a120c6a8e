"""Lines of keys in a TOML file."""

from __future__ import annotations

from dicomnode.settings.lines import find_lines, line_of

_TEXT = '''\
# comment = 1
schema = 1

[receive]   # [not] this
port = 11112
long = """
port = 5
[store]
"""
list = [
  "a", # ]
  "[b]",
]
after = 2
[[destination]]
name = "a"
[[destination]]
name = "b"
host = "h = 3"
[destination.inner]
x = 1
[[destination.part]]
y = 2
[[destination.part]]
y = 3
'''


def test_each_key_has_its_line() -> None:
    assert dict(find_lines(_TEXT)) == {
        "schema": 2, "receive": 4, "receive.port": 5, "receive.long": 6, "receive.list": 10,
        "receive.after": 14,
        "destination": 15, "destination[1]": 15, "destination[1].name": 16,
        "destination[2]": 17, "destination[2].name": 18, "destination[2].host": 19,
        "destination.inner": 20, "destination[2].inner": 20, "destination[2].inner.x": 21,
        "destination.part": 22, "destination[2].part[1]": 22, "destination[2].part[1].y": 23,
        "destination[2].part[2]": 24, "destination[2].part[2].y": 25,
    }  # fmt: skip


def test_a_key_that_is_missing_has_the_line_of_the_table_that_it_belongs_to() -> None:
    lines = find_lines(_TEXT)
    assert line_of("destination[2].ae_title", lines) == 17
    assert line_of("receive.list[2]", lines) == 10
    assert line_of("receive.zzz.a", lines) == 4
    assert line_of("engine", lines) is None
    assert line_of("", lines) is None
