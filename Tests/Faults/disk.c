/* A disk that forgets: what is written below $DISK_ROOT and was not synced is lost when the power is cut.
 *
 * Loaded into a program with LD_PRELOAD. Below $DISK_STATE it keeps what a disk would: of each file the bytes as of its last
 * syncs (files/INODE), of each folder the names as of its last sync (folders/INODE), and which bytes of a file were written
 * since (written/INODE). Bytes whose sync failed are forgotten as a system forgets them: the next sync does not write them,
 * unless they have been written again. A line of $DISK_STATE/syncs tells of each sync: what it answered, and of what.
 *
 * While $DISK_STATE/fail is there, every sync of a file whose path contains its text fails with EIO.
 *
 * While $DISK_STATE/links is there, the file system has no hard links, as exFAT has none.
 *
 * State is in files only, under a lock, so that it outlives the program as a disk does. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct range { int64_t start, length; };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *state;

static ssize_t real_write(int fd, const void *bytes, size_t count) { return syscall(SYS_write, fd, bytes, count); }
static ssize_t real_pwrite(int fd, const void *bytes, size_t count, off_t at) { return syscall(SYS_pwrite64, fd, bytes, count, at); }

__attribute__((constructor)) static void begin(void) {
    root = getenv("DISK_ROOT");
    state = getenv("DISK_STATE");
}

/* Whether the descriptor is of a file or folder that the disk keeps; its path and kind. */
static int is_kept(int fd, char *path, struct stat *status) {
    char name[64];
    if (!root || !state || fd < 0) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    size_t prefix = strlen(root);
    if (strncmp(path, root, prefix) || (path[prefix] && path[prefix] != '/')) return 0;
    return fstat(fd, status) == 0 && (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode));
}

static void place(char *name, const char *kind, ino_t inode) { snprintf(name, PATH_MAX, "%s/%s/%llu", state, kind, (unsigned long long)inode); }

static int lock_state(void) {
    char name[PATH_MAX];
    pthread_mutex_lock(&mutex);
    snprintf(name, sizeof name, "%s/lock", state);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    flock(fd, LOCK_EX);
    return fd;
}

static void unlock_state(int fd) {
    close(fd);
    pthread_mutex_unlock(&mutex);
}

static void note_written(ino_t inode, int64_t start, int64_t length) {
    char name[PATH_MAX];
    struct range range = {start, length};
    int lock = lock_state();
    place(name, "written", inode);
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    real_write(fd, &range, sizeof range);
    close(fd);
    unlock_state(lock);
}

static void did_write(int fd, int64_t start, ssize_t count) {
    char path[PATH_MAX];
    struct stat status;
    int code = errno;
    if (count > 0 && is_kept(fd, path, &status) && S_ISREG(status.st_mode)) {
        if (start < 0) start = (fcntl(fd, F_GETFL) & O_APPEND ? status.st_size : lseek(fd, 0, SEEK_CUR)) - count;
        note_written(status.st_ino, start, count);
    }
    errno = code;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    ssize_t done = real_write(fd, bytes, count);
    did_write(fd, -1, done);
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    ssize_t done = real_pwrite(fd, bytes, count, at);
    did_write(fd, at, done);
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) { return pwrite(fd, bytes, count, at); }

static void copy_range(int from, int to, int64_t start, int64_t length) {
    char buffer[65536];
    while (length > 0) {
        ssize_t got = pread(from, buffer, length < (int64_t)sizeof buffer ? (size_t)length : sizeof buffer, start);
        if (got <= 0) return;
        real_pwrite(to, buffer, got, start);
        start += got;
        length -= got;
    }
}

/* Takes what was written since the last sync, as far as the system still knows of it. */
static void keep_file(const char *path, struct stat *status) {
    char name[PATH_MAX];
    struct range range;
    place(name, "files", status->st_ino);
    int from = open(path, O_RDONLY | O_CLOEXEC), to = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    place(name, "written", status->st_ino);
    int written = open(name, O_RDONLY | O_CLOEXEC);
    while (written >= 0 && read(written, &range, sizeof range) == sizeof range) copy_range(from, to, range.start, range.length);
    if (ftruncate(to, status->st_size)) abort();
    close(from);
    close(to);
    if (written >= 0) close(written);
    unlink(name);
}

/* Takes the names that are in a folder, each with its inode and kind. */
static void keep_folder(const char *path, struct stat *status) {
    char name[PATH_MAX], temporary[PATH_MAX + 8];
    place(name, "folders", status->st_ino);
    snprintf(temporary, sizeof temporary, "%s.new", name);
    FILE *file = fopen(temporary, "we");
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            fprintf(file, "%llu %c %s\n", (unsigned long long)entry->d_ino, entry->d_type == DT_DIR ? 'd' : 'f', entry->d_name);
    if (folder) closedir(folder);
    fclose(file);
    rename(temporary, name);
}

static int must_fail(const char *path) {
    char name[PATH_MAX], text[256];
    snprintf(name, sizeof name, "%s/fail", state);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    return strstr(path, text) != NULL;
}

static int has_no_links(void) {
    char name[PATH_MAX];
    if (!state) return 0;
    snprintf(name, sizeof name, "%s/links", state);
    return access(name, F_OK) == 0;
}

int link(const char *from, const char *to) {
    if (!has_no_links()) return (int)syscall(SYS_link, from, to);
    errno = EPERM;
    return -1;
}

static void tell(const char *answer, const char *path) {
    char name[PATH_MAX], line[PATH_MAX + 32];
    snprintf(name, sizeof name, "%s/syncs", state);
    int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    real_write(fd, line, snprintf(line, sizeof line, "%s %s\n", answer, path));
    close(fd);
}

static int sync_kept(int fd) {
    char path[PATH_MAX], name[PATH_MAX];
    struct stat status;
    if (!is_kept(fd, path, &status)) return -2;
    int lock = lock_state(), fails = must_fail(path);
    // It may have grown while another sync was under way.
    fstat(fd, &status);
    if (fails) {
        place(name, "written", status.st_ino);
        unlink(name);
    } else if (S_ISDIR(status.st_mode)) {
        keep_folder(path, &status);
    } else {
        keep_file(path, &status);
    }
    tell(fails ? "failed" : "synced", path);
    unlock_state(lock);
    if (!fails) return 0;
    errno = EIO;
    return -1;
}

int fdatasync(int fd) {
    int answer = sync_kept(fd);
    return answer == -2 ? (int)syscall(SYS_fdatasync, fd) : answer;
}

int fsync(int fd) {
    int answer = sync_kept(fd);
    return answer == -2 ? (int)syscall(SYS_fsync, fd) : answer;
}

/* An inode is given to the next file when its file goes: then the disk has nothing of the new one. */
static int did_open(const char *path, int flags, int existed, int fd) {
    char found[PATH_MAX], name[PATH_MAX];
    struct stat status;
    (void)path;
    int code = errno;
    if (fd >= 0 && (flags & O_CREAT) && !existed && is_kept(fd, found, &status) && S_ISREG(status.st_mode)) {
        int lock = lock_state();
        place(name, "files", status.st_ino);
        unlink(name);
        place(name, "written", status.st_ino);
        unlink(name);
        unlock_state(lock);
    }
    errno = code;
    return fd;
}

static int open_at(int at, const char *path, int flags, mode_t mode) {
    int existed = !(flags & O_CREAT) || faccessat(at, path, F_OK, 0) == 0;
    return did_open(path, flags, existed, (int)syscall(SYS_openat, at, path, flags, mode));
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_at(at, path, flags | O_LARGEFILE, mode); }
