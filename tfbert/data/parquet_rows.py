"""Rows of a Parquet file; class numbers become the names that `datasets` left for them."""

import json

from tfbert.common.errors import UserError
from tfbert.data.delimited import distinct
from tfbert.data.opening import opened

ROWS = 1024  # in memory at a time


def read_parquet(file, path):
    """Yields (place, {column: value}). Raises UserError where the file is damaged."""
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.ParquetFile(file)
        names = class_names(table.schema_arrow)
        columns = distinct(table.schema_arrow.names)
        rows = (row for part in table.iter_batches(ROWS) for row in part.rename_columns(columns).to_pylist())
        for number, row in enumerate(rows, 1):
            yield f"{path}, row {number}", with_names(row, names)
    except (ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        raise UserError(f"cannot read {path}: {str(error)[:200]}") from error


def types_in(path):
    """{column: pyarrow type} of a Parquet file, but for class numbers, which are read as names."""
    from pyarrow import parquet

    with opened(path, "--file") as file:
        schema = parquet.read_schema(file)
    names = class_names(schema)
    kinds = zip(distinct(schema.names), schema.types)
    return {column: kind for column, kind in kinds if column not in names}


def class_names(schema):
    """{column: names} of a Parquet file's class numbers, or lists of them, as `datasets` left them in its metadata."""
    from pyarrow import types

    kinds = {field.name: field.type.value_type if types.is_list(field.type) else field.type for field in schema}
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        classes = {column: feature.get("feature", feature) for column, feature in features.items()}
        found = {column: feature["names"] for column, feature in classes.items()
                 if "names" in feature and types.is_integer(kinds[column])}  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):  # it was not `datasets` that wrote them
        return {}
    return {column: names for column, names in found.items()
            if isinstance(names, list) and all(isinstance(name, str) for name in names)}  # fmt: skip


def with_names(row, names):
    """`row` with names in place of class numbers; None for -1, a label that is kept secret. names: {column: names}."""

    def name(number, known):
        return known[number] if number is not None and 0 <= number < len(known) else None

    for column, known in names.items():
        value = row[column]
        row[column] = [name(each, known) for each in value] if isinstance(value, list) else name(value, known)
    return row
