/* A file system that keeps a file's pages twice: who maps a log of changes sees it as it was then, whatever is written later.
 * Loaded into a program with LD_PRELOAD. A file `.mapped` beside the log tells that it was mapped. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    char name[64], path[PATH_MAX + 8];
    ssize_t count = -1;
    if (fd >= 0) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        count = readlink(name, path, PATH_MAX);
    }
    if (count < 4 || memcmp(path + count - 4, "-wal", 4) != 0)
        return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
    strcpy(path + count, ".mapped");
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    void *copy = (void *)syscall(SYS_mmap, address, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy != MAP_FAILED && pread(fd, copy, length, offset) < 0) return MAP_FAILED;
    return copy;
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap(address, length, protection, flags, fd, offset);
}
