"""A Parquet file of rows, whose columns have the types of their values."""

import contextlib

from tfbert.common.errors import UserError, one_line
from tfbert.common.text import json_text

ROWS, GROUP = 1024, 1 << 23  # rows that become columns at a time; bytes of these in a row group, about
EXACT = 1 << 53  # the last of the whole numbers that float64 has all of
UNFIT = (ValueError, TypeError, OverflowError, NotImplementedError)  # what pyarrow raises of values; Arrow's are such


class ColumnTypes:
    """The pyarrow types of columns, found from their values.

    known: {column: type} of those that have one already. found: {column: type}, None for values of several kinds,
    which become JSON text.
    """

    def __init__(self, known=()):
        self.known, self.found = dict(known), {}
        self.large = set()  # columns with whole numbers that float64 would round

    def see(self, rows):
        """rows: a list of {column: value}."""
        from pyarrow import types

        for name in dict.fromkeys(name for row in rows for name in row):
            values = [row.get(name) for row in rows]
            seen = type_of(values, self.known.get(name))
            if seen and types.is_integer(seen) and any(abs(value or 0) > EXACT for value in values):
                self.large.add(name)
            both = joined(self.found[name], seen) if name in self.found else seen
            self.found[name] = None if both and types.is_floating(both) and name in self.large else both


def type_of(values, known=None):
    """The type of a list of values, `known` where that holds them; None where there is no one type for all."""
    import pyarrow

    try:
        found = pyarrow.array(values, known).type
    except UNFIT:
        return None
    return found if is_writable(found) else None


def is_writable(kind):
    """Whether Parquet has a type: an object without keys has none."""
    from pyarrow import types

    parts = [kind.field(number).type for number in range(kind.num_fields)]
    return (bool(parts) or not types.is_struct(kind)) and all(map(is_writable, parts))


def joined(one, other):
    """The type that holds the values of two; None where there is none."""
    import pyarrow

    if one == other or None in (one, other):
        return one if one == other else None
    try:
        both = [pyarrow.schema([("", each)]) for each in (one, other)]
        return pyarrow.unify_schemas(both, promote_options="permissive").field(0).type
    except UNFIT:
        return None


@contextlib.contextmanager
def parquet_writer(path, types):
    """Yields a function that adds a row, {column: value}. types: of all columns, as ColumnTypes finds them, or
    their names.

    Raises UserError for a value that is not of its column's type.
    """
    import pyarrow
    from pyarrow import parquet

    texts = {name for name, kind in types.items() if kind is None}
    schema = pyarrow.schema([(name, pyarrow.string() if kind in (None, pyarrow.null()) else kind)
                             for name, kind in types.items()])  # fmt: skip
    rows, batches = [], []

    def column(name, kind):
        values = [row.get(name) for row in rows]
        if name in texts:
            values = [None if value is None else json_text(value, ascii_only=True) for value in values]
        try:
            return pyarrow.array(values, kind)
        except UNFIT as error:
            raise UserError(f"the column {name} cannot be written: {one_line(error)}; --output may end in .jsonl or "
                            ".csv, which have no types") from error  # fmt: skip

    def take_in():
        if rows:
            batches.append(pyarrow.record_batch([column(field.name, field.type) for field in schema], schema))
            rows.clear()

    def write_group():
        if batches:
            writer.write_table(pyarrow.Table.from_batches(batches), row_group_size=1 << 30)
            batches.clear()

    def add(row):
        rows.append(row)
        if len(rows) == ROWS:
            take_in()
            if sum(batch.nbytes for batch in batches) > GROUP:
                write_group()

    with parquet.ParquetWriter(path, schema) as writer:
        yield add
        take_in()
        write_group()
