/// Sets what holds for all of SQLite in the process, before anything of it is used: SQLite's result code.
///
/// Nothing is counted of the memory that it takes: that has one lock, for which every thread that reads would wait.
int apus_sqlite_configure(void);
