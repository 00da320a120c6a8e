"""The folder of plans: what it gives is what was put, made by this installation, and accepted to serve."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicomnode.engine.plans import PlanCache, PlanState, open_plans
from dicomnode.engine.plans.key import canonical_json
from dicomnode.engine.plans.record import read_record
from dicomnode.engine.plans.secret import sign
from dicomnode.faults import (
    PLAN_NOT_WRITTEN,
    PLAN_SECRET_WRONG,
    PLANS_UNSAFE,
    STORE_NOT_LOCAL,
    NodeError,
)
from dicomnode.settings import StoreSettings
from tests.unit.engine.plan_keys import KEY, changed

PLAN = b"a plan" * 1000
FIGURES = {"relative_l2": 1e-6, "dice": 1.0}
NEW_DRIVER = changed(driver="590.01")
NEWER_DRIVER = changed(driver="600.01")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store" / "plans"


@pytest.fixture
def cache(root: Path) -> PlanCache:
    return PlanCache(root)


def plan_file(cache: PlanCache, key=KEY) -> Path:
    return cache.root / f"{key.digest}.plan"


def record_file(cache: PlanCache, key=KEY) -> Path:
    return cache.root / f"{key.digest}.json"


def quarantined(cache: PlanCache) -> list[str]:
    """The reasons, in the order of their names."""
    return [path.read_text() for path in sorted((cache.root / "quarantine").glob("*.txt"))]


def test_there_is_no_plan_before_one_was_put(cache):
    assert cache.find(KEY) is None
    assert cache.serving(KEY) is None
    assert cache.records() == ()
    assert cache.expected_build_s(KEY) is None


def test_what_was_put_is_found_whole_by_another_process_that_opens_the_folder(cache, root):
    cache.put(KEY, PLAN, 12.5, {"version": "11.4"})
    found = PlanCache(root).find(KEY)
    assert found is not None
    assert found.content == PLAN
    assert found.key == KEY
    assert (found.record.state, found.record.number, found.record.build_s) == (PlanState.BUILT, 1, 12.5)
    assert found.record.facts == {"version": "11.4"}


def test_the_key_stands_beside_the_plan_as_json_for_people(cache):
    cache.put(KEY, PLAN)
    document = json.loads(record_file(cache).read_bytes())
    assert document["key"]["gpu"]["name"] == "NVIDIA H200"
    assert document["key"]["driver"] == "580.65.06"
    assert len(document["hmac"]) == 64


def test_everything_in_the_folder_is_for_its_user_alone(cache, root):
    cache.put(KEY, PLAN)
    cache.use(KEY).close()
    for path in (root, *root.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_plan_serves_only_when_it_was_accepted(cache):
    cache.put(KEY, PLAN)
    assert cache.serving(KEY) is None
    assert cache.accept(KEY, FIGURES).accepted
    serving = cache.serving(KEY)
    assert serving.content == PLAN
    assert serving.record.figures == FIGURES


def test_a_rejected_plan_does_not_serve_and_stays_so_that_it_is_not_built_again(cache):
    cache.put(KEY, PLAN)
    cache.reject(KEY, {"relative_l2": 0.3})
    assert cache.serving(KEY) is None
    assert cache.find(KEY).record.state is PlanState.REJECTED
    assert cache.find(KEY).record.figures == {"relative_l2": 0.3}


def test_a_plan_that_is_gone_cannot_be_accepted(cache):
    assert cache.accept(KEY, FIGURES) is None


def test_the_old_plan_serves_until_the_new_one_is_built_and_accepted(cache):
    cache.put(KEY, PLAN)
    cache.accept(KEY, FIGURES)
    assert cache.serving(NEW_DRIVER).key == KEY
    cache.put(NEW_DRIVER, b"new")
    cache.prune([NEW_DRIVER])
    assert cache.serving(NEW_DRIVER).key == KEY
    cache.reject(NEW_DRIVER, {})
    assert cache.serving(NEW_DRIVER).key == KEY
    cache.accept(NEW_DRIVER, FIGURES)
    assert cache.serving(NEW_DRIVER).key == NEW_DRIVER


def test_the_newest_of_the_older_plans_stands_in(cache):
    for key in (NEW_DRIVER, KEY):  # the order of building counts, not that of names
        cache.put(key, key.driver.encode())
        cache.accept(key, FIGURES)
    assert cache.serving(NEWER_DRIVER).key == KEY


def test_a_plan_of_another_network_never_stands_in(cache):
    cache.put(KEY, PLAN)
    cache.accept(KEY, FIGURES)
    assert cache.serving(changed(onnx_sha256="0" * 64)) is None


def test_one_plan_to_go_back_to_is_kept_and_older_ones_are_removed(cache):
    keys = [changed(driver=f"{n}.0") for n in range(4)]
    for key in keys:
        cache.put(key, PLAN)
        cache.accept(key, FIGURES)
    other = changed(engine="another")
    cache.put(other, PLAN)
    removed = cache.prune()
    assert [record.key for record in removed] == keys[1::-1]
    assert {record.key for record in cache.records()} == {keys[2], keys[3], other}
    assert not plan_file(cache, keys[0]).exists()


def test_a_new_plan_that_was_not_accepted_yet_displaces_no_accepted_one(cache):
    for key in (KEY, NEW_DRIVER):
        cache.put(key, PLAN)
        cache.accept(key, FIGURES)
    cache.put(NEWER_DRIVER, PLAN)
    assert cache.prune() == ()


def test_a_plan_that_is_used_is_not_removed_until_it_is_let_go(cache, root):
    cache.put(KEY, PLAN)
    cache.accept(KEY, FIGURES)
    used = PlanCache(root).use(KEY)
    for key in (NEW_DRIVER, NEWER_DRIVER):
        cache.put(key, PLAN)
        cache.accept(key, FIGURES)
    assert cache.prune() == ()
    assert used.plan.content == PLAN
    used.close()
    used.close()
    assert [record.key for record in cache.prune()] == [KEY]


def test_wanted_plans_are_not_removed(cache):
    for key in (KEY, NEW_DRIVER, NEWER_DRIVER):
        cache.put(key, PLAN)
        cache.accept(key, FIGURES)
    assert cache.prune([KEY]) == ()
    assert [record.key for record in cache.prune()] == [KEY]


def test_what_a_dead_build_left_goes(cache):
    (cache.root / f"{KEY.digest}.plan").write_bytes(b"without a record")
    work = cache.work_path(NEW_DRIVER)
    work.mkdir()
    (work / "network.onnx").write_bytes(b"x")
    (work / "folder of a library").mkdir()
    (cache.root / ".x.json.999999999.ab12.tmp").write_bytes(b"half")
    # In a container the dead had the number that we have
    (cache.root / f".y.json.{os.getpid()}.ab12.tmp").write_bytes(b"half")
    (cache.root / "quarantine" / ".z.txt.999999999.ab12.tmp").write_bytes(b"half")
    cache.prune()
    left = {path.name for path in cache.root.iterdir()}
    assert left == {"key", "locks", "log", "work", "quarantine"}
    assert list((cache.root / "work").iterdir()) == []
    assert list((cache.root / "quarantine").iterdir()) == []


def test_the_work_of_a_build_that_runs_stays(cache):
    cache.work_path(KEY).mkdir()
    with cache.building(KEY):
        cache.prune()
        assert cache.work_path(KEY).exists()
    cache.prune()
    assert not cache.work_path(KEY).exists()


def test_the_last_build_of_the_slot_says_how_long_the_next_will_take(cache):
    cache.put(KEY, PLAN, 100.0)
    cache.put(NEW_DRIVER, PLAN, 80.0)
    cache.put(changed(precision="fp16"), PLAN, 3.0)
    assert cache.expected_build_s(NEWER_DRIVER) == 80.0


# ── what is not trusted ──


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def open_to_the_group(path: Path) -> None:
    path.chmod(0o640)


def make_a_link(path: Path) -> None:
    kept = path.with_name("elsewhere")
    path.rename(kept)
    path.symlink_to(kept)


def give_a_second_name(path: Path) -> None:
    os.link(path, path.with_name("second"))


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def make_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


DAMAGE = [flip, truncate, open_to_the_group, make_a_link, give_a_second_name, make_a_folder, make_a_pipe]


@pytest.mark.parametrize("which", [plan_file, record_file], ids=lambda f: f.__name__)
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda f: f.__name__)
def test_what_was_touched_is_not_given_but_put_aside_with_its_reason(cache, which, damage):
    cache.put(KEY, PLAN)
    cache.accept(KEY, FIGURES)
    damage(which(cache))
    with capture_logs() as logs:
        assert cache.find(KEY) is None
    assert [line for line in logs if line["event"] == "plan.quarantined" and line["log_level"] == "error"]
    assert not os.path.lexists(plan_file(cache))
    assert not os.path.lexists(record_file(cache))
    (reason,) = quarantined(cache)
    assert KEY.title in reason
    cache.put(KEY, PLAN)
    assert cache.find(KEY).content == PLAN


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("which", [plan_file, record_file], ids=lambda f: f.__name__)
def test_a_file_of_another_user_is_not_given(cache, which):
    cache.put(KEY, PLAN)
    os.chown(which(cache), 65534, -1)
    assert cache.find(KEY) is None
    assert "it belongs to user 65534" in quarantined(cache)[0]


def resign(cache: PlanCache, secret: bytes, **changes: object) -> None:
    """Write the record again with changes, signed with `secret`."""
    document = {**json.loads(record_file(cache).read_bytes()), **changes}
    document.pop("hmac")
    document["hmac"] = sign(secret, canonical_json(document))
    record_file(cache).write_bytes(json.dumps(document).encode())


def test_a_record_that_another_installation_signed_is_not_believed(cache):
    cache.put(KEY, PLAN)
    resign(cache, b"k" * 32, state="accepted")
    assert cache.find(KEY) is None
    assert "not signed with the key of this installation" in quarantined(cache)[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": NEW_DRIVER.facts()}, "of another plan"),
        ({"key": {}}, "not complete"),
        ({"schema": 2}, "of the form dicomnode plan 2"),
        ({"format": "other"}, "of the form other 1"),
        ({"state": "blessed"}, "not complete"),
        ({"number": 0}, "not complete"),
        ({"size": 3}, "more than 3"),
        ({"size": 10**9}, "not those that its record is signed for"),
    ],
)
def test_a_record_that_is_signed_and_wrong_is_not_believed(cache, root, changes, said):
    cache.put(KEY, PLAN)
    resign(cache, (root / "key").read_bytes(), **changes)
    assert cache.find(KEY) is None
    assert said in quarantined(cache)[0]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"hmac": 1}'])
def test_a_record_that_is_no_record_is_put_aside(cache, content):
    cache.put(KEY, PLAN)
    record_file(cache).write_bytes(content)
    assert cache.records() == ()
    assert cache.find(KEY) is None
    assert len(quarantined(cache)) == 1


def test_two_plans_cannot_change_places(cache):
    cache.put(KEY, PLAN)
    cache.put(NEW_DRIVER, PLAN + b"!")
    for file in (plan_file, record_file):
        file(cache, KEY).write_bytes(file(cache, NEW_DRIVER).read_bytes())
    assert cache.find(KEY) is None
    assert "of another plan" in quarantined(cache)[0]
    assert cache.find(NEW_DRIVER) is not None


def test_a_record_without_its_plan_is_put_aside_and_a_plan_without_its_record_is_nothing(cache):
    cache.put(KEY, PLAN)
    plan_file(cache).unlink()
    assert cache.find(KEY) is None
    assert len(quarantined(cache)) == 1
    cache.put(KEY, PLAN)
    record_file(cache).unlink()
    assert cache.find(KEY) is None
    assert len(quarantined(cache)) == 1


def test_what_is_put_aside_a_second_time_overwrites_nothing(cache):
    for _ in range(3):
        cache.put(KEY, PLAN)
        flip(plan_file(cache))
        assert cache.find(KEY) is None
    assert len(quarantined(cache)) == 3
    assert len(list((cache.root / "quarantine").glob("*.plan"))) == 3


def test_a_plan_that_is_put_aside_again_and_again_does_not_fill_the_disk(cache):
    for number in range(6):
        cache.put(KEY, PLAN + bytes([number]))
        cache.discard(KEY, f"deserialisation failed, {number}")
    cache.prune()
    folder = cache.root / "quarantine"
    assert sorted(path.read_bytes()[-1] for path in folder.glob("*.plan")) == [2, 3, 4, 5]
    assert len(quarantined(cache)) == len(list(folder.glob("*.json"))) == 6


def test_a_plan_that_its_runtime_does_not_load_is_put_aside(cache):
    cache.put(KEY, PLAN)
    cache.discard(KEY, "deserialisation failed")
    assert cache.find(KEY) is None
    assert "deserialisation failed" in quarantined(cache)[0]


def test_an_older_plan_that_was_touched_does_not_stand_in(cache):
    cache.put(KEY, PLAN)
    cache.accept(KEY, FIGURES)
    flip(plan_file(cache))
    assert cache.serving(NEW_DRIVER) is None
    assert len(quarantined(cache)) == 1


# ── the folder and the key ──


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o707])
def test_a_folder_that_others_may_enter_is_not_used(cache, root, mode):
    root.chmod(mode)
    for use in (lambda: PlanCache(root), lambda: cache.find(KEY), lambda: cache.put(KEY, PLAN)):
        with pytest.raises(NodeError) as caught:
            use()
        assert caught.value.fault is PLANS_UNSAFE
        assert f"{mode:04o}" in str(caught.value)


def test_a_folder_below_one_that_everybody_may_write_to_is_not_used(root):
    root.parent.mkdir()
    root.parent.chmod(0o777)
    with pytest.raises(NodeError, match="everybody may write to") as caught:
        PlanCache(root)
    assert caught.value.fault is PLANS_UNSAFE
    root.parent.chmod(0o1777)  # as /tmp: nobody can put another folder in its place
    PlanCache(root)


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path, root):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    root.parent.mkdir()
    root.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NodeError, match="a link to another place"):
        PlanCache(root)
    root.unlink()
    root.write_bytes(b"")
    with pytest.raises(NodeError, match="it is no folder"):
        PlanCache(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_not_used(root):
    PlanCache(root)
    os.chown(root, 65534, -1)
    with pytest.raises(NodeError, match="it belongs to user 65534"):
        PlanCache(root)


def test_a_network_share_holds_no_plans(root, monkeypatch):
    monkeypatch.setattr("dicomnode.store.local.filesystem", lambda *_: "nfs4")
    with pytest.raises(NodeError) as caught:
        PlanCache(root)
    assert caught.value.fault is STORE_NOT_LOCAL


def test_a_folder_that_is_gone_is_told(cache, root):
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(NodeError) as caught:
        cache.find(KEY)
    assert caught.value.fault is PLAN_NOT_WRITTEN


def test_each_installation_has_a_key_of_its_own_and_keeps_it(tmp_path):
    first, again, second = PlanCache(tmp_path / "a"), PlanCache(tmp_path / "a"), PlanCache(tmp_path / "b")
    assert first._secret == again._secret
    assert first._secret != second._secret
    assert len(first._secret) == 32


def test_a_key_from_systemd_signs_in_the_place_of_the_file(root, tmp_path, monkeypatch):
    (tmp_path / "plan-key").write_bytes(b"0123456789abcdef" * 2)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    cache = open_plans(StoreSettings(path=root.parent, plan_key="credential:plan-key"))
    cache.put(KEY, PLAN)
    assert not (root / "key").exists()
    assert read_record(record_file(cache).read_bytes(), b"0123456789abcdef" * 2).key == KEY


@pytest.mark.parametrize(
    ("credential", "content", "said"),
    [
        ("credential:other", b"x" * 32, "No such file"),
        ("credential:plan-key", b"short", "it has 5 bytes, at least 32"),
    ],
)
def test_a_key_from_systemd_that_is_missing_or_short_is_said(
    root, tmp_path, monkeypatch, credential, content, said
):
    (tmp_path / "plan-key").write_bytes(content)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(NodeError, match=said) as caught:
        PlanCache(root, credential=credential)
    assert caught.value.fault is PLAN_SECRET_WRONG


def test_without_systemd_a_credential_is_said_to_be_missing(root, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(NodeError, match="CREDENTIALS_DIRECTORY is not set"):
        PlanCache(root, credential="credential:plan-key")


@pytest.mark.parametrize("damage", [open_to_the_group, make_a_link, make_a_pipe])
def test_a_key_that_others_could_have_read_is_not_used(cache, root, damage):
    damage(root / "key")
    with pytest.raises(NodeError) as caught:
        PlanCache(root)
    assert caught.value.fault is PLAN_SECRET_WRONG


def test_plans_lie_where_the_settings_say(tmp_path):
    assert open_plans(StoreSettings(path=tmp_path / "s")).root == tmp_path / "s" / "plans"
    assert open_plans(StoreSettings(path=tmp_path / "s", plans=tmp_path / "p")).root == tmp_path / "p"


def test_a_full_disk_is_a_failure_with_a_row_and_leaves_nothing(cache, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache._disk, "write", full)
    with pytest.raises(NodeError, match="No space left") as caught:
        cache.put(KEY, PLAN)
    assert caught.value.fault is PLAN_NOT_WRITTEN
    monkeypatch.undo()
    assert cache.find(KEY) is None
    assert {path.name for path in cache.root.iterdir() if path.is_file()} == {"key"}


def _put_many(root: Path, number: int) -> None:
    cache = PlanCache(root)
    for n in range(10):
        cache.put(changed(driver=f"{number}.{n}"), PLAN)
        cache.prune()


def test_processes_that_write_at_once_leave_a_folder_that_is_right(root):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_put_many, args=(root, number)) for number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    cache = PlanCache(root)
    (record,) = cache.records()
    assert record.number == 20
    assert cache.find(record.key).content == PLAN
    assert quarantined(cache) == []


def test_a_plan_is_removed_to_be_built_again_without_a_word_of_intruders(cache):
    cache.put(KEY, b"a plan")
    cache.reject(KEY, {})
    with capture_logs() as lines:
        cache.remove(KEY)
        cache.remove(KEY)
    assert cache.find(KEY) is None
    assert list((cache.root / "quarantine").iterdir()) == []
    assert {line["log_level"] for line in lines} == {"info"}
