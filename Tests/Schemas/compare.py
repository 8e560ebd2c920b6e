#!/usr/bin/env python3
"""Compares the tables of a live database with the catalogue of the original server's tables.

    compare.py CATALOGUE_DIR [--sqlite DATABASE_FILE] [--postgres CONNECTION_URL]

CATALOGUE_DIR holds sqlite.json and postgres.json, recorded from databases that the original's migrations made. The database must be
as its schema scripts left it: the tables whose rows are catalogued hold these rows and no others. PostgreSQL is asked through `psql`,
about the first schema of the search path.

Two departures are tolerated: on PostgreSQL, bigint where the catalogue has integer for an id or a reference to one (for all of them or
none); and tables and indexes whose names begin with apus_. Where SQL text matters (SQLite keeps checks and deferrability nowhere else), quotes,
comments, case of keywords and white space do not. The order of foreign keys, checks and indexes within a table does not either.

Prints what differs. The last line counts tables; the exit code is 1 if any differs, 2 if the database could not be asked.
"""

import argparse
import json
import pathlib
import re
import sqlite3
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("catalogue", type=pathlib.Path, metavar="CATALOGUE_DIR")
    parser.add_argument("--sqlite", metavar="DATABASE_FILE")
    parser.add_argument("--postgres", metavar="CONNECTION_URL")
    options = parser.parse_args()
    if not options.sqlite and not options.postgres:
        parser.error("name a database: --sqlite, --postgres, or both")

    passed = failed = 0
    for dialect, address, read in [("sqlite", options.sqlite, read_sqlite), ("postgres", options.postgres, read_postgres)]:
        if address:
            catalogue = json.loads((options.catalogue / f"{dialect}.json").read_text())
            expected = expectation(dialect, catalogue)
            found = read(address, catalogue["rows"])
            for table in sorted(expected.keys() | found.keys()):
                differences = compare(expected.get(table), found.get(table))
                for difference in differences:
                    print(f"{dialect} {table}: {difference}")
                passed, failed = (passed, failed + 1) if differences else (passed + 1, failed)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


# A table, expected or found, is a dictionary from what is compared ("column order", "index auth_group_name_key", "row 1") to its value.


def compare(expected, found):
    """What differs between two descriptions of a table, a line for each aspect."""
    if found is None:
        return ["is missing"]
    if expected is None:
        return ["is not in the catalogue"]
    lines = []
    for aspect in list(expected) + [aspect for aspect in found if aspect not in expected]:
        if aspect not in found:
            lines.append(f"{aspect} is missing: {show(expected[aspect])}")
        elif aspect not in expected:
            lines.append(f"{aspect} is not in the catalogue: {show(found[aspect])}")
        elif expected[aspect] != found[aspect]:
            lines.append(f"{aspect} is {show(found[aspect])}, not {show(expected[aspect])}")
    return lines


def show(value):
    return json.dumps(value, sort_keys=True)


def is_ours(table):
    return table.startswith("apus_")


def expectation(dialect, catalogue):
    """The catalogue's tables, described as the tables of a live database are."""
    describe = describe_sqlite if dialect == "sqlite" else describe_postgres
    tables = {name: describe(table) for name, table in catalogue["tables"].items()}
    for sequence in catalogue.get("sequences", []):
        tables[sequence["owned_by"].partition(".")[0]].update(describe_sequence(sequence))
    for name, rows in catalogue["rows"].items():
        tables[name].update(describe_rows(rows))
        tables[name]["next id is free"] = True
    return tables


def describe_rows(rows):
    return {f"row {row['id']}": row for row in rows}


# SQLite


def describe_sqlite(table):
    """One entry for each aspect of a table in the catalogue's form."""
    aspects = {
        "column order": [column["name"] for column in table["columns"]],
        "primary key": table["primary_key"],
        "autoincrement": table["autoincrement"],
    }
    for column in table["columns"]:
        aspects[f"column {column['name']}"] = column
    for unique in table["unique_constraints"]:
        aspects[f"unique {', '.join(unique)}"] = True
    for key in table["foreign_keys"]:
        aspects[f"foreign key {', '.join(key['columns'])} to {key['target']}"] = key
    for check in table["checks"]:
        aspects[f"check {' '.join(tokens(check))}"] = True
    for index in table["indexes"]:
        aspects[f"index {index['name']}"] = index
    return aspects


def read_sqlite(path, seeded):
    if not pathlib.Path(path).is_file():
        fail(f"there is no file {path}")
    connection = sqlite3.connect(f"{pathlib.Path(path).resolve().as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    found = {}
    for name, sql in connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"):
        if not is_ours(name) and not name.startswith("sqlite_"):
            found[name] = describe_sqlite(read_sqlite_table(connection, name, sql))
    for name, object_type in connection.execute("SELECT name, type FROM sqlite_master WHERE type IN ('view', 'trigger')"):
        if not is_ours(name):
            found[name] = {object_type: True}
    for name, rows in seeded.items():
        if name in found:
            columns = ", ".join(rows[0])
            live = [dict(row) for row in connection.execute(f"SELECT {columns} FROM {name}")]
            found[name].update(describe_rows(live))
            last = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = ?", [name]).fetchone()[0] or 0
            found[name]["next id is free"] = last >= max((row["id"] for row in live), default=0)
    return found


def read_sqlite_table(connection, name, sql):
    """A table of a live database in the catalogue's form."""
    columns = []
    primary_key = {}
    for row in connection.execute("SELECT * FROM pragma_table_xinfo(?)", [name]):
        column = {
            "name": row["name"], "type": row["type"], "nullable": not row["notnull"], "default": row["dflt_value"],
            "pk_position": row["pk"] or None,
        }
        if row["hidden"]:
            column["generated"] = True
        columns.append(column)
        if row["pk"]:
            primary_key[row["pk"]] = row["name"]

    definition = Definition(sql)
    foreign_keys = {}
    for row in connection.execute("SELECT * FROM pragma_foreign_key_list(?) ORDER BY id, seq", [name]):
        key = foreign_keys.setdefault(row["id"], {
            "columns": [], "target": row["table"], "target_columns": [],
            "on_delete": row["on_delete"].lower(), "on_update": row["on_update"].lower(),
        })
        key["columns"].append(row["from"])
        key["target_columns"].append(row["to"])
    for key in foreign_keys.values():
        key["deferrable"], key["initially_deferred"] = definition.deferrability(key["columns"])

    indexes = []
    origins = {"c": "create index", "u": "unique constraint", "pk": "primary key"}
    for row in connection.execute("SELECT * FROM pragma_index_list(?) WHERE name NOT LIKE 'apus\\_%' ESCAPE '\\'", [name]):
        index = {"name": row["name"], "unique": bool(row["unique"]), "origin": origins[row["origin"]], "columns": []}
        for part in connection.execute("SELECT * FROM pragma_index_xinfo(?) WHERE key", [row["name"]]):
            plain = not part["desc"] and part["coll"] == "BINARY"
            index["columns"].append(part["name"] if plain else [part["name"], part["coll"], bool(part["desc"])])
        if row["partial"]:
            index["where"] = True
        indexes.append(index)

    return {
        "columns": columns,
        "primary_key": [primary_key[position] for position in sorted(primary_key)],
        "autoincrement": "AUTOINCREMENT" in definition.keywords,
        "unique_constraints": [index["columns"] for index in indexes if index["unique"] and "where" not in index],
        "foreign_keys": list(foreign_keys.values()),
        "indexes": indexes,
        "checks": definition.checks,
    }


class Definition:
    """What only the text of a CREATE TABLE says: checks, and whether foreign keys are deferred."""

    def __init__(self, sql):
        words = tokens(sql)
        body = words[words.index("(") + 1:]
        self.keywords = {word.upper() for word in words}
        self.parts = split(body)
        self.checks = [" ".join(inside(part, at + 1)) for part in self.parts for at, word in enumerate(part) if word.upper() == "CHECK"]

    def deferrability(self, columns):
        """(deferrable, initially deferred) of the foreign key of these columns."""
        for part in self.parts:
            upper = [word.upper() for word in part]
            if "REFERENCES" not in upper:
                continue
            if "FOREIGN" in upper:
                own = [word for word in inside(part, upper.index("FOREIGN") + 2) if word != ","]
            else:
                own = part[:1]
            if own == columns:
                text = " ".join(upper[upper.index("REFERENCES"):])
                deferrable = " DEFERRABLE" in text and " NOT DEFERRABLE" not in text
                return deferrable, deferrable and "INITIALLY DEFERRED" in text
        return False, False


def tokens(sql):
    """The words, numbers and signs of SQL text without comments; quoted identifiers without their quotes."""
    pattern = r"""--[^\n]*|/\*.*?\*/|("(?:[^"]|"")*"|'(?:[^']|'')*'|\w+|[<>=!|]+|[^\s\w])"""
    words = [match[1] for match in re.finditer(pattern, sql, re.DOTALL) if match[1]]
    return [word[1:-1].replace('""', '"') if word.startswith('"') else word for word in words]


def split(words):
    """The comma-separated parts of a parenthesized list, whose opening parenthesis was taken already."""
    parts, depth = [[]], 0
    for word in words:
        if word == ")" and depth == 0:
            break
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def inside(words, start):
    """The words within the parentheses that open at `start`."""
    depth = 0
    for end in range(start, len(words)):
        depth += {"(": 1, ")": -1}.get(words[end], 0)
        if depth == 0:
            return words[start + 1:end]
    return words[start + 1:]


# PostgreSQL

POSTGRES_TABLES = """
WITH chosen AS (
    SELECT oid, relname, relkind
    FROM   pg_class
    WHERE  relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT starts_with(relname, 'apus_')
)
SELECT coalesce(json_object_agg(relname, json_build_object(
    'kind', relkind,
    'columns', (
        SELECT json_agg(json_build_object(
            'name', attname,
            'type', format_type(atttypid, atttypmod),
            'nullable', NOT attnotnull,
            'default', pg_get_expr(adbin, adrelid),
            'identity', CASE attidentity WHEN 'd' THEN 'by default' WHEN 'a' THEN 'always' END,
            'collation', CASE WHEN attcollation <> (SELECT typcollation FROM pg_type WHERE pg_type.oid = atttypid)
                         THEN (SELECT collname FROM pg_collation WHERE pg_collation.oid = attcollation) END
        ) ORDER BY attnum)
        FROM   pg_attribute
        LEFT   JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE  attrelid = chosen.oid AND attnum > 0 AND NOT attisdropped
    ),
    'constraints', (
        SELECT coalesce(json_agg(json_build_object(
            'name', conname,
            'type', contype,
            'columns', (
                SELECT json_agg(attname ORDER BY number)
                FROM   unnest(conkey) WITH ORDINALITY AS part (attribute, number)
                JOIN   pg_attribute ON attrelid = conrelid AND attnum = attribute
            ),
            'target', (SELECT relname FROM pg_class WHERE pg_class.oid = confrelid),
            'target_columns', (
                SELECT json_agg(attname ORDER BY number)
                FROM   unnest(confkey) WITH ORDINALITY AS part (attribute, number)
                JOIN   pg_attribute ON attrelid = confrelid AND attnum = attribute
            ),
            'deferrable', condeferrable,
            'initially_deferred', condeferred,
            'validated', convalidated,
            'on_delete', confdeltype,
            'on_update', confupdtype,
            'definition', pg_get_constraintdef(pg_constraint.oid)
        )), '[]')
        FROM   pg_constraint
        WHERE  conrelid = chosen.oid AND contype <> 't'
    ),
    'triggers', (SELECT coalesce(json_agg(tgname ORDER BY tgname), '[]') FROM pg_trigger WHERE tgrelid = chosen.oid AND NOT tgisinternal),
    'indexes', (
        SELECT coalesce(json_agg(json_build_object(
            'name', class.relname,
            'unique', indisunique,
            'primary', indisprimary,
            'valid', indisvalid,
            'method', amname,
            'where', pg_get_expr(indpred, indrelid),
            'included', indnatts - indnkeyatts,
            'nulls_not_distinct', pg_get_indexdef(indexrelid) LIKE '%NULLS NOT DISTINCT%',
            'backs_constraint', EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid AND contype <> 'f'),
            'columns', (
                SELECT json_agg(json_build_object(
                    'column', pg_get_indexdef(indexrelid, number::int, true),
                    'opclass', opcname,
                    'opclass_is_default', opcdefault,
                    'option', indoption[number::int - 1]
                ) ORDER BY number)
                FROM   unnest(indclass::oid[]) WITH ORDINALITY AS part (class, number)
                JOIN   pg_opclass ON pg_opclass.oid = part.class
            )
        )), '[]')
        FROM   pg_index
        JOIN   pg_class class ON class.oid = indexrelid
        JOIN   pg_am ON pg_am.oid = class.relam
        WHERE  indrelid = chosen.oid
    )
)), '{}')
FROM chosen
"""

POSTGRES_SEQUENCES = """
SELECT coalesce(json_agg(json_build_object(
    'name', sequence.relname,
    'type', format_type(seqtypid, NULL),
    'start', seqstart,
    'increment', seqincrement,
    'min', seqmin,
    'max', seqmax,
    'cycle', seqcycle,
    'cache', seqcache,
    'owned_by', owner.relname || '.' || attname,
    'dependency', CASE deptype WHEN 'i' THEN 'internal (identity)' WHEN 'a' THEN 'auto (serial)' END
)), '[]')
FROM   pg_sequence
JOIN   pg_class sequence ON sequence.oid = seqrelid
LEFT   JOIN pg_depend ON classid = 'pg_class'::regclass AND objid = seqrelid AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
LEFT   JOIN pg_class owner ON owner.oid = refobjid
LEFT   JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
WHERE  sequence.relnamespace = current_schema()::regnamespace
AND    NOT starts_with(coalesce(owner.relname, sequence.relname), 'apus_')
"""


def describe_postgres(table):
    """One entry for each aspect of a table in the catalogue's form, with integer widened where Apus may widen it."""
    wide = ids_and_references(table)
    aspects = {
        "column order": [column["name"] for column in table["columns"]],
        "primary key": table["primary_key"],
    }
    for column in table["columns"]:
        # A position counts the columns that migrations have dropped since; the order is compared above.
        column = {aspect: value for aspect, value in column.items() if aspect != "position"}
        widened = column["type"] == "integer" and column["name"] in wide
        aspects[f"column {column['name']}"] = column | {"type": "bigint"} if widened else column
    for unique in table["unique_constraints"]:
        aspects[f"unique {unique['name']}"] = unique
    for key in table["foreign_keys"]:
        aspects[f"foreign key {key['name']}"] = key
    for check in table["checks"]:
        aspects[f"check {check['name']}"] = check
    for index in table["indexes"]:
        columns = [
            column | {"opclass": "int8_ops"} if column["opclass"] == "int4_ops" and column["column"].strip('"') in wide else column
            for column in index["columns"]
        ]
        aspects[f"index {index['name']}"] = index | {"columns": columns}
    for trigger in table.get("triggers", []):
        aspects[f"trigger {trigger}"] = True
    return aspects


def ids_and_references(table):
    return {"id"} | {column for key in table["foreign_keys"] for column in key["columns"]}


def describe_sequence(sequence):
    """A sequence as if it were widened: that of a bigint id is a bigint sequence."""
    if sequence["type"] == "integer" and sequence["max"] == 2**31 - 1:
        sequence = sequence | {"type": "bigint", "max": 2**63 - 1}
    return {f"sequence {sequence['name']}": sequence}


def read_postgres(url, seeded):
    found, widths = {}, {}
    for name, table in ask(url, POSTGRES_TABLES).items():
        if table["kind"] == "r":
            table = postgres_table(table)
            found[name] = describe_postgres(table)
            widths[name] = {column["name"]: column["type"] for column in table["columns"] if column["name"] in ids_and_references(table)}
        else:
            found[name] = {f"relation of kind {table['kind']}": True}
    for sequence in ask(url, POSTGRES_SEQUENCES):
        owner = (sequence["owned_by"] or sequence["name"]).partition(".")[0]
        found.setdefault(owner, {}).update(describe_sequence(sequence))
        widths.setdefault(owner, {})[sequence["name"]] = sequence["type"]
    if any("bigint" in types.values() for types in widths.values()):
        for name, types in widths.items():
            for narrow in [narrow for narrow, type_name in types.items() if type_name == "integer"]:
                found[name][f"integer {narrow} in a widened database"] = True
    for name, rows in seeded.items():
        if name in found:
            columns = ", ".join(rows[0])
            live = ask(url, f"SELECT coalesce(json_agg(seeded), '[]') FROM (SELECT {columns} FROM {name}) seeded")
            found[name].update(describe_rows(live))
            found[name]["next id is free"] = ask(url, f"""
                SELECT coalesce(max(id) < (SELECT last_value + is_called::int FROM {name}_id_seq), true) FROM {name}
            """) if f"sequence {name}_id_seq" in found[name] else False
    return found


def postgres_table(table):
    """A table of a live database in the catalogue's form; what the catalogue never has is there only where it is set."""
    actions = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}
    result = {
        "columns": table["columns"], "primary_key": None, "unique_constraints": [], "foreign_keys": [], "checks": [], "indexes": [],
        "triggers": table["triggers"],
    }
    for constraint in table["constraints"]:
        base = {"name": constraint["name"], "columns": constraint["columns"]}
        if constraint["type"] == "p":
            result["primary_key"] = base | ({"deferrable": True} if constraint["deferrable"] else {})
        elif constraint["type"] == "u":
            result["unique_constraints"].append(base | {"deferrable": constraint["deferrable"]})
        elif constraint["type"] == "f":
            unvalidated = {} if constraint["validated"] else {"validated": False}
            result["foreign_keys"].append(base | unvalidated | {
                "target": constraint["target"], "target_columns": constraint["target_columns"],
                "deferrable": constraint["deferrable"], "initially_deferred": constraint["initially_deferred"],
                "on_delete": actions[constraint["on_delete"]], "on_update": actions[constraint["on_update"]],
            })
        else:
            result["checks"].append(base | {"check": constraint["definition"]})
    for index in table["indexes"]:
        if index["name"].startswith("apus_"):
            continue
        if index.pop("valid"):
            index = {aspect: value for aspect, value in index.items() if value or aspect not in ("included", "nulls_not_distinct")}
        else:
            index["valid"] = False
        for column in index["columns"]:
            if not column["option"]:
                del column["option"]
        result["indexes"].append(index)
    return result


def ask(url, query):
    """The one JSON value that a query answers with."""
    command = ["psql", "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--dbname", url]
    answer = subprocess.run(command, input=query, capture_output=True, text=True)
    if answer.returncode != 0:
        fail(answer.stderr.strip())
    text = answer.stdout.strip()
    return {"t": True, "f": False}[text] if text in ("t", "f") else json.loads(text)


def fail(message):
    print(message, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    sys.exit(main())
