#include "CSQLite.h"
#include "gathering.h"
#include "window.h"
#include <stdlib.h>
#include <string.h>

// SQLite writes each page of a commit into the log of changes in two calls: some bytes about it, then the page. Here such writes are put
// together as long as each goes on where the last one ended, and go to the file in one call before it is synced.
//
// Why nothing can be seen that is not in the file: it is done for a connection with `synchronous = FULL` only (gathers). Such a one
// syncs the log of changes in each commit before it tells others, in the memory that they share, that the pages are there; nobody reads
// pages of which nobody was told but the connection itself, through this same file.
//
// What is read of it is taken from memory where that can be done (window.c).

// SQLite's VFS for Unix takes less than 128 KiB at once.
enum { capacity = 124 << 10 };

typedef struct {
    sqlite3_file base;
    int gathers;
    unsigned char *bytes; // which are not in the file yet; made with the first
    sqlite3_int64 start;  // where in the file they belong
    int count;
    Window *window; // on the file; NULL where there is none
    sqlite3_file real[]; // the file of the VFS below
} Log;

static sqlite3_vfs vfs, *below;

static Log *log_of(sqlite3_file *file) { return (Log *)file; }
static sqlite3_file *real_of(sqlite3_file *file) { return log_of(file)->real; }

static int write_through(Log *log, const void *bytes, int count, sqlite3_int64 offset) {
    enum { compared = 4096 }; // that much is enough to tell a window on something else
    int code = log->real->pMethods->xWrite(log->real, bytes, count, offset);
    if (code != SQLITE_OK || !log->window) return code;
    int before = count > compared ? count - compared : 0;
    window_learn(log->window, (const char *)bytes + before, count - before, offset + before);
    return SQLITE_OK;
}

// Brings to the file what was put together. What fails is given up: so is the transaction that wrote it.
static int flush(Log *log) {
    if (log->count == 0) return SQLITE_OK;
    int count = log->count;
    log->count = 0;
    return write_through(log, log->bytes, count, log->start);
}

static int write_log(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) {
    Log *log = log_of(file);
    if (log->count > 0 && (offset != log->start + log->count || count > capacity - log->count)) {
        int code = flush(log);
        if (code != SQLITE_OK) return code;
    }
    if (log->gathers && !log->bytes) log->bytes = malloc(capacity);
    if (!log->gathers || !log->bytes || count > capacity) return write_through(log, bytes, count, offset);
    if (log->count == 0) log->start = offset;
    memcpy(log->bytes + log->count, bytes, count);
    log->count += count;
    return SQLITE_OK;
}

static int read_log(sqlite3_file *file, void *bytes, int count, sqlite3_int64 offset) {
    Log *log = log_of(file);
    if (log->count > 0 && offset < log->start + log->count && log->start < offset + count) {
        int code = flush(log);
        if (code != SQLITE_OK) return code;
    }
    if (log->window && window_read(log->window, bytes, count, offset)) return SQLITE_OK;
    int code = log->real->pMethods->xRead(log->real, bytes, count, offset);
    if (code == SQLITE_OK && log->window) window_learn(log->window, bytes, count, offset);
    return code;
}

static int sync_log(sqlite3_file *file, int flags) {
    int code = flush(log_of(file));
    return code == SQLITE_OK ? real_of(file)->pMethods->xSync(real_of(file), flags) : code;
}

static int truncate_log(sqlite3_file *file, sqlite3_int64 size) {
    int code = flush(log_of(file));
    if (code != SQLITE_OK) return code;
    if (log_of(file)->window) window_cut(log_of(file)->window, size);
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int size_of_log(sqlite3_file *file, sqlite3_int64 *size) {
    int code = flush(log_of(file));
    if (code == SQLITE_OK) code = real_of(file)->pMethods->xFileSize(real_of(file), size);
    if (code == SQLITE_OK && log_of(file)->window) window_cut(log_of(file)->window, *size);
    return code;
}

static int close_log(sqlite3_file *file) {
    int flushed = flush(log_of(file));
    free(log_of(file)->bytes);
    log_of(file)->bytes = NULL;
    if (log_of(file)->window) window_close(log_of(file)->window);
    log_of(file)->window = NULL;
    int closed = real_of(file)->pMethods->xClose(real_of(file));
    return closed == SQLITE_OK ? flushed : closed;
}

static int lock_log(sqlite3_file *file, int level) { return real_of(file)->pMethods->xLock(real_of(file), level); }
static int unlock_log(sqlite3_file *file, int level) { return real_of(file)->pMethods->xUnlock(real_of(file), level); }
static int is_log_reserved(sqlite3_file *file, int *is) { return real_of(file)->pMethods->xCheckReservedLock(real_of(file), is); }
static int control_log(sqlite3_file *file, int what, void *value) {
    return real_of(file)->pMethods->xFileControl(real_of(file), what, value);
}
static int sector_of_log(sqlite3_file *file) { return real_of(file)->pMethods->xSectorSize(real_of(file)); }
static int traits_of_log(sqlite3_file *file) { return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file)); }

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = close_log,
    .xRead = read_log,
    .xWrite = write_log,
    .xTruncate = truncate_log,
    .xSync = sync_log,
    .xFileSize = size_of_log,
    .xLock = lock_log,
    .xUnlock = unlock_log,
    .xCheckReservedLock = is_log_reserved,
    .xFileControl = control_log,
    .xSectorSize = sector_of_log,
    .xDeviceCharacteristics = traits_of_log,
};

static int open_file(sqlite3_vfs *self, sqlite3_filename name, sqlite3_file *file, int flags, int *outcome) {
    (void)self;
    if (!(flags & SQLITE_OPEN_WAL)) return below->xOpen(below, name, file, flags, outcome);
    memset(file, 0, sizeof(Log));
    int got = flags;
    int code = below->xOpen(below, name, real_of(file), flags, &got);
    if (outcome) *outcome = got;
    // Who may only read does so without locks where those cannot be had, and then the file may be cut off while it is looked at.
    if (code == SQLITE_OK && !(got & SQLITE_OPEN_READONLY)) log_of(file)->window = window_open(name);
    // SQLite closes what has methods, also when it could not be opened.
    if (real_of(file)->pMethods) file->pMethods = &log_methods;
    return code;
}

int gathering_register(void) {
    below = sqlite3_vfs_find(NULL);
    if (!below) return SQLITE_ERROR;
    vfs = *below;
    vfs.zName = "apus";
    vfs.pNext = NULL;
    vfs.szOsFile = below->szOsFile + (int)sizeof(Log);
    vfs.xOpen = open_file;
    return sqlite3_vfs_register(&vfs, 1);
}

static int find_log(sqlite3 *connection, Log **log) {
    sqlite3_file *file = NULL;
    int code = sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file);
    if (code != SQLITE_OK) return code;
    if (!file || file->pMethods != &log_methods) return SQLITE_MISUSE;
    *log = log_of(file);
    return SQLITE_OK;
}

int apus_sqlite_gather(sqlite3 *connection) {
    Log *log;
    int code = find_log(connection, &log);
    if (code == SQLITE_OK) log->gathers = 1;
    return code;
}

int apus_sqlite_release(sqlite3 *connection) {
    Log *log;
    int code = find_log(connection, &log);
    if (code == SQLITE_OK && log->window) window_release(log->window);
    return code;
}
