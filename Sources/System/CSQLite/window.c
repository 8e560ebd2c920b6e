#include "window.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// A page that a commit has written is asked for by each connection that reads after it, and by the one that moves it into the
// database: SQLite's cache of a connection ends with the next commit of another. Here they take it from one mapping of the file.
//
// Why what is seen is what is in the file: the mapping is not a copy. The system keeps a file's pages once, for those who map it and for
// those who read and write it, so other processes may write as ever. A file system that does not do so is found out: what a window shows
// is compared with what was just read or written before anything is taken from it for the first time.
//
// Why it is there at all: to look behind the end of a file ends the process. Nothing is taken from a window but what lies before a
// place that was read or written before. The file may be cut off since, by us or by another process, but not before what anybody
// reads: SQLite does so under locks that keep out who reads the log, and whoever comes after reads only what was written since. What
// cuts it off without asking for locks breaks the database anyway, and SQLite's own memory beside it (`-shm`) is looked at the same way.

// As much as the log has before it is moved into the database (SQLiteDatabase.checkpointPages).
enum { capacity = 32 << 20, unusable = -1 };

struct Window {
    Window *next;
    dev_t device;
    ino_t number;
    int users;
    const unsigned char *bytes;
    _Atomic sqlite3_int64 end; // before which there are bytes
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Window *windows;

// The one on this file. It keeps the file, so its number is nobody else's.
static Window *find(const struct stat *status) {
    for (Window *window = windows; window; window = window->next)
        if (window->device == status->st_dev && window->number == status->st_ino) return window;
    return NULL;
}

static Window *make(int descriptor, const struct stat *status) {
    Window *window = calloc(1, sizeof(Window));
    if (!window) return NULL;
    void *bytes = mmap(NULL, capacity, PROT_READ, MAP_SHARED, descriptor, 0);
    if (bytes == MAP_FAILED) {
        free(window);
        return NULL;
    }
    window->bytes = bytes;
    window->device = status->st_dev;
    window->number = status->st_ino;
    window->next = windows;
    return windows = window;
}

Window *window_open(const char *path) {
    // To close it takes nobody's locks away: SQLite has none on this file.
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return NULL;
    struct stat status;
    Window *window = NULL;
    if (fstat(descriptor, &status) == 0) {
        pthread_mutex_lock(&lock);
        window = find(&status);
        if (!window) window = make(descriptor, &status);
        if (window) window->users++;
        pthread_mutex_unlock(&lock);
    }
    close(descriptor);
    return window;
}

void window_close(Window *window) {
    pthread_mutex_lock(&lock);
    if (--window->users == 0) {
        Window **place = &windows;
        while (*place != window) place = &(*place)->next;
        *place = window->next;
        munmap((void *)window->bytes, capacity);
        free(window);
    }
    pthread_mutex_unlock(&lock);
}

bool window_read(Window *window, void *bytes, int count, sqlite3_int64 offset) {
    if (offset + count > atomic_load(&window->end)) return false;
    memcpy(bytes, window->bytes + offset, count);
    return true;
}

void window_learn(Window *window, const void *bytes, int count, sqlite3_int64 offset) {
    sqlite3_int64 end = offset + count;
    if (end > capacity) return;
    sqlite3_int64 before = atomic_load(&window->end);
    if (before == unusable) return;
    if (memcmp(window->bytes + offset, bytes, count) != 0) {
        atomic_store(&window->end, unusable);
        return;
    }
    while (before != unusable && before < end && !atomic_compare_exchange_weak(&window->end, &before, end)) {}
}

void window_cut(Window *window, sqlite3_int64 end) {
    sqlite3_int64 before = atomic_load(&window->end);
    while (before > end && !atomic_compare_exchange_weak(&window->end, &before, end)) {}
}

void window_release(Window *window) { madvise((void *)window->bytes, capacity, MADV_DONTNEED); }
