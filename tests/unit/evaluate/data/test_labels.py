"""A table of labels is read as spreadsheets write it, and what is wrong with it is told at once."""

from __future__ import annotations

import pytest

from dicomnode.evaluate.data import read_labels
from dicomnode.evaluate.data.labels import KeyKind
from dicomnode.faults import FILE_UNREADABLE, LABELS_WRONG, NodeError


@pytest.fixture
def table(tmp_path):
    def write(content: str | bytes):
        path = tmp_path / "labels.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def _problems(path) -> str:
    with pytest.raises(NodeError) as caught:
        read_labels(path)
    assert caught.value.fault is LABELS_WRONG
    return str(caught.value)


def test_the_key_column_is_found_and_the_others_are_labels(table):
    read = read_labels(table("StudyInstanceUID,malignant,volume_ml\n1.2.3,1,12.5\n1.2.4,0,\n"))
    assert read.kind is KeyKind.STUDY
    assert read.columns == ("malignant", "volume_ml")
    assert [dict(row.values) for row in read.rows] == [
        {"malignant": "1", "volume_ml": "12.5"},
        {"malignant": "0"},  # an empty cell is not known, not zero
    ]
    assert [row.number for row in read.rows] == [2, 3]


@pytest.mark.parametrize("nothing", ["", " ", "NA", "n/a", "NaN", "null"])
def test_what_is_not_known_is_not_there(table, nothing):
    read = read_labels(table(f"file,sick\na.dcm,{nothing}\nb.dcm,0\n"))
    assert [dict(row.values) for row in read.rows] == [{}, {"sick": "0"}]


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffStudyInstanceUID,sick\n1.2,1\n".encode(),
        b"StudyInstanceUID;sick\r\n1.2;1\r\n;\r\n",
        b"StudyInstanceUID\tsick\n1.2\t1\n",
        "StudyInstanceUID,sick\n1.2,1\n".encode("utf-16"),
        b'"Study Instance UID","sick"\n"1.2"," 1 "\n\n\n',
        b"study_instance_uid,sick,\n1.2,1,\n",
    ],
    ids=["byte order mark", "semicolons", "tabs", "UTF-16", "quotes and empty lines", "a cell too many"],
)
def test_all_that_spreadsheets_write_is_read(table, content):
    read = read_labels(table(content))
    assert read.kind is KeyKind.STUDY
    assert read.columns == ("sick",)
    assert [(row.key, dict(row.values)) for row in read.rows] == [("1.2", {"sick": "1"})]


def test_decimal_commas_are_those_of_tables_with_semicolons(table):
    read = read_labels(table("StudyInstanceUID;ml;words\n1.2;-12,5;a, b\n"))
    assert dict(read.rows[0].values) == {"ml": "-12.5", "words": "a, b"}


def test_of_several_keys_the_most_telling_is_used_and_the_patient_is_not_read(table):
    read = read_labels(
        table("PatientID,Patient's Name,StudyInstanceUID,SeriesInstanceUID,sick\nP1,A^B,1.2,1.2.3,1\n")
    )
    assert read.kind is KeyKind.SERIES
    assert read.columns == ("sick",)
    assert read.left_out == ("PatientID", "Patient's Name", "StudyInstanceUID")
    assert "A^B" not in repr(read)
    assert "1.2.3" not in repr(read)  # a key is never shown


def test_every_problem_is_told_at_once_by_row_and_never_by_the_value_of_a_key(table):
    told = _problems(table("AccessionNumber,sick\nSECRET7,1\n,0\nSECRET7,0\nX,1,2,3\n"))
    assert "3 problem(s)" in told
    assert "row 3: it has no key" in told
    assert "row 4: the same key as row 2" in told
    assert "row 5: 4 cells, the header has 2" in told
    assert "SECRET7" not in told


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty"),
        ("\n", "no column of keys"),
        ("patient,sick\n1,1\n", "no column of keys; one of SOPInstanceUID, SeriesInstanceUID, file"),
        ("file,sick,Sick\na,1,1\n", "columns 2 and 3 have one name"),
        ("file,sick\n", "no row but the header"),
        (b"file,sick\na,\xff\xfe\n", "row 2: no UTF-8 text"),
        (b"file,sick\na\0b,1\n", "zero bytes"),
        ('file,sick\n"a,1\n', "no CSV"),
    ],
    ids=["empty", "blank", "no key", "twice", "no rows", "not UTF-8", "binary", "open quote"],
)
def test_what_is_no_table_is_refused_with_the_reason(table, content, said):
    assert said in _problems(table(content))


def test_of_many_problems_the_first_are_told_and_the_rest_are_counted(table):
    told = _problems(table("file,sick\n" + "a,1\n" * 40))
    assert "39 problem(s)" in told
    assert "and 19 more" in told


def test_a_file_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(NodeError) as caught:
        read_labels(tmp_path / "none.csv")
    assert caught.value.fault is FILE_UNREADABLE


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c"])
def test_marks_that_are_no_ends_of_rows_stay_within_their_cell(table, mark):
    read = read_labels(table(f"StudyInstanceUID,note,sick\n1.2,a{mark}b,1\n1.3,c,0\n".encode()))
    assert [row.values["sick"] for row in read.rows] == ["1", "0"]


@pytest.mark.parametrize(
    ("content", "cell"),
    [
        ("file;size\r\na;1,5\r\n", "1.5"),  # of a spreadsheet in Europe
        ("file\tsize\r\na\t1,5\r\n", "1.5"),
        ('file,size\r\na,"1,5"\r\n', "1.5"),
        ('file,size\na,"0,125"\n', "0.125"),  # no thousand begins with 0
        ('file,size\na,"-1,5e-3"\n', "-1.5e-3"),
        ('file,size\na,"1,500"\n', "1,500"),  # fifteen hundred, or one and a half
        ("file;size\na;1,500\n", "1.500"),
        ('file,size\na,"mild, early"\n', "mild, early"),
        ('"file","size"\r"a","2"\r', "2"),  # line ends of an old Macintosh
        ('\ufefffile;size\r\n"a";"say ""yes"""\r\n', 'say "yes"'),
    ],
)
def test_cells_of_spreadsheets_are_read_as_they_were_meant(tmp_path, content, cell):
    path = tmp_path / "labels.csv"
    path.write_bytes(content.encode())
    (row,) = read_labels(path).rows
    assert dict(row.values) == {"size": cell}
