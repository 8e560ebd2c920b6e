#include <sqlite3.h>
#include <stdbool.h>

/// What the system holds in memory of a log of changes, seen without a call for each page; the process has one for a file, whoever
/// opens it.
typedef struct Window Window;

/// The window on the file there; NULL where it cannot be had, and then it is read as any other.
Window *window_open(const char *path);
void window_close(Window *);

/// Takes bytes from the window; false where they must be read: they lie outside, or nobody has told that they are there.
bool window_read(Window *, void *bytes, int count, sqlite3_int64 offset);
/// Tells that these bytes are in the file. Where the window shows others it is not used any more.
void window_learn(Window *, const void *bytes, int count, sqlite3_int64 offset);
/// Tells that the file ends there, or is about to.
void window_cut(Window *, sqlite3_int64 end);
/// Lets go of the memory that was looked at; it comes back as it is looked at again.
void window_release(Window *);
