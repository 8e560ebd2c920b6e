/// Makes the VFS that knows how to gather writes the one that every connection opened from now on uses: SQLite's result code.
int gathering_register(void);
