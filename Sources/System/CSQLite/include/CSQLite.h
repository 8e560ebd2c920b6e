#include <sqlite3.h>

/// Sets what holds for all of SQLite in the process, before anything of it is used: SQLite's result code.
///
/// Nothing is counted of the memory that it takes: that has one lock, for which every thread that reads would wait.
int apus_sqlite_configure(void);

/// From now on the connection, which is in WAL mode, writes the pages of a commit into the log of changes in as few calls as it can:
/// SQLite's result code. Only for one with `synchronous = FULL`, which nobody changes any more: what is gathered is in the file once
/// that is synced.
int apus_sqlite_gather(sqlite3 *connection);

/// Gives back the memory through which the process looks at the log of changes; it is taken again as it is looked at: SQLite's result
/// code. The connection is in WAL mode.
int apus_sqlite_release(sqlite3 *connection);
