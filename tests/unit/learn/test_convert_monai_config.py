"""The configuration language of bundles, read as data; nothing that stands in one is ever run."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.learn.convert.monai_config import Code, Config, ConfigError
from tests.fixtures.frameworks import needed
from tests.fixtures.monai.bundles import quiet

TABLE = {
    "channels": [16, 32, 64],
    "highres": True,
    "name": "liver",
    "network_def": {"_target_": "UNet", "channels": "@channels", "strides": "$[2] * 2", "last": "@#strides"},
    "pixdim": "$[1.5, 1.5, 2.0] if @highres else [3.0, 3.0, 3.0]",
    "path": "$@root + '/models/model.pt'",
    "root": ".",
    "old": "@network_def#channels#0",
    "copy": "%network_def::channels",
    "sum": "$(@channels[0] + 8) / 2 - 1",
    "nested": {"inner": {"up": "@##beside", "top": "@###name"}, "beside": 7},
    "not": "$not @highres",
    "mail": "somebody@example.org",
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("channels", [16, 32, 64]),
        ("network_def", {"_target_": "UNet", "channels": [16, 32, 64], "strides": [2, 2], "last": [2, 2]}),
        ("pixdim", [1.5, 1.5, 2.0]),
        ("path", "./models/model.pt"),
        ("old", 16),
        ("copy", [16, 32, 64]),
        ("sum", 11.0),
        ("nested::inner::up", 7),
        ("nested::inner::top", "liver"),
        ("not", False),
        ("mail", "somebody@example.org"),
    ],
)
def test_references_literals_and_arithmetic_are_followed(key, value):
    assert Config(TABLE).value(key) == value


def test_configurations_are_read_as_monai_reads_them():
    """The same ids by MONAI's own parser, of a configuration that has no code in it."""
    with quiet():
        needed("monai")
        from monai import bundle
    plain = {name: one for name, one in TABLE.items() if name not in {"network_def", "old", "copy"}}
    for key in ("channels", "pixdim", "path", "sum", "not", "mail", "nested::inner"):
        with quiet():
            theirs = bundle.ConfigParser(dict(plain)).get_parsed_content(key)
        assert Config(TABLE).value(key) == theirs


@pytest.mark.parametrize(
    "text",
    [
        "$import os",
        "$__import__('os').system('touch CANARY')",
        "$open('CANARY', 'w')",
        "$().__class__.__bases__[0].__subclasses__()",
        "$[x for x in (1, 2)]",
        "$(lambda: 1)()",
        "$exec('import os')",
        "$@channels.append(1)",
        "$torch.device('cpu')",
        "$f'{@name}'",
        "$10 ** 10 ** 10",
        "$'a' * 10 ** 9",
        "$[0] * 10 ** 9",
        "$1 / 0",
        "$1e308 * 10",
        "$" + "(" * 3000 + "1" + ")" * 3000,
        "$" + "-" * 1500 + "1",
        "$1 +",
        "%/etc/passwd.json",
        "%other.yaml::key",
    ],
    ids=lambda text: text[:30],
)
def test_what_only_python_could_compute_stays_text(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config({**TABLE, "bad": text, "uses": "@bad", "computes": "$@bad + 1"})
    assert config.value("bad") == Code(text.replace("#", "::"), "bad")
    assert isinstance(config.value("uses"), Code)
    assert isinstance(config.value("computes"), Code)
    assert not list(tmp_path.iterdir())


def test_answers_stand_in_the_place_of_code():
    config = Config({"pixdim": "$compute()", "spacing": {"pixdim": "@pixdim"}}, {"pixdim": [1.0, 2.0, 3.0]})
    assert config.value("spacing") == {"pixdim": [1.0, 2.0, 3.0]}


@pytest.mark.parametrize(
    "table",
    [
        {"key": "@key"},
        {"key": "@other", "other": "$@key + 1"},
        {"key": "%other", "other": ["@key"]},
        {"key": "@nowhere"},
        {"key": "@list::7", "list": [1]},
        {"key": "@######far"},
    ],
)
def test_circles_and_dead_ends_are_named(table):
    with pytest.raises(ConfigError):
        Config(table).value("key")


def test_references_that_multiply_are_stopped():
    """Each level holds the one before ten times: a billion values of nine lines."""
    table = {f"l{n}": [f"@l{n - 1}"] * 10 for n in range(1, 10)} | {"l0": [0] * 10}
    with pytest.raises(ConfigError, match="more of it"):
        Config(table).value("l9")


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_code_or_named(text):
    config = Config({"a": 1, "b": f"${text}", "c": f"@{text}", "d": text})
    for key in ("b", "c", "d"):
        with suppress(ConfigError):
            assert isinstance(config.value(key), Code | str | int | float | list | dict | None)
