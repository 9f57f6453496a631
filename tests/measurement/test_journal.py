import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsim.errors import InputError
from llmsim.measurement import journal as journal_module
from llmsim.measurement.journal import Journal


def entries(path):
    with Journal(path) as journal:
        return list(journal.entries)


def test_what_was_appended_is_there_when_it_is_opened_again(tmp_path):
    with Journal(tmp_path / "a" / "j.jsonl") as journal:
        journal.append({"x": 1})
        journal.append({"x": 2})
    assert entries(tmp_path / "a" / "j.jsonl") == [{"x": 1}, {"x": 2}]


@given(cut=st.integers(0, 60))
def test_a_kill_at_any_byte_loses_at_most_the_line_in_flight(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    with Journal(path) as journal:
        for number in range(5):
            journal.append({"number": number})
    whole = path.read_bytes()
    path.write_bytes(whole[: min(cut, len(whole))])
    kept = whole[: min(cut, len(whole))].count(b"\n")
    with Journal(path) as journal:
        assert [entry["number"] for entry in journal.entries] == list(range(kept))
        journal.append({"number": kept})
    assert [entry["number"] for entry in entries(path)] == list(range(kept + 1))


def test_a_line_that_is_none_is_refused_with_its_number(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text('{"a": 1}\nnonsense\n')
    with pytest.raises(InputError, match="line 2"):
        entries(path)


def test_a_value_that_json_has_no_word_for_is_refused(tmp_path):
    with Journal(tmp_path / "j.jsonl") as journal, pytest.raises(ValueError, match="not JSON compliant"):
        journal.append({"x": float("nan")})


def test_a_journal_that_syncs_seldom_gives_the_system_every_line_at_once(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(journal_module.os, "fsync", synced.append)
    path = tmp_path / "j.jsonl"
    with Journal(path, sync_s=1000.0) as journal:
        for number in range(5):
            journal.append({"number": number}, {"number": -number})
            journal.sync()
            assert len(path.read_bytes().splitlines()) == 2 * (number + 1)
        assert len(synced) == 1
    assert len(synced) == 2  # at the end
    assert len(entries(path)) == 10


def test_a_journal_that_cannot_be_written_says_where_and_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file: the journal cannot be written \(File exists"):
        Journal(tmp_path / "file" / "j").__enter__()
    with Journal(tmp_path / "j") as journal:
        journal.append({"n": 1})
        journal._file.close()
        journal._file = open("/dev/full", "w")  # noqa: PTH123, SIM115  # closed below
        with pytest.raises(InputError, match=r"j: the journal cannot be written \(No space left"):
            journal.append({"n": 2})
        with pytest.raises(InputError, match="No space left"):
            journal.__exit__(None, None, None)
    assert entries(tmp_path / "j") == [{"n": 1}]
