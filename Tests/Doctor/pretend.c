/* A machine that has little room, or keeps its files elsewhere, or whose clock is wrong: loaded into a program with LD_PRELOAD.
 *
 *   PRETEND_FREE        bytes that every file system has left
 *   PRETEND_FILES       how many files can still be made there
 *   PRETEND_TYPE        the file systems' number, in hexadecimal digits
 *   PRETEND_SECONDS     by which the clock is wrong
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

int statvfs(const char *path, struct statvfs *status) {
    int (*real)(const char *, struct statvfs *) = (int (*)(const char *, struct statvfs *))dlsym(RTLD_NEXT, "statvfs");
    int result = real(path, status);
    const char *bytes = getenv("PRETEND_FREE"), *files = getenv("PRETEND_FILES");
    if (bytes) status->f_bavail = status->f_bfree = strtoull(bytes, NULL, 10) / status->f_frsize;
    if (files) {
        status->f_favail = status->f_ffree = strtoull(files, NULL, 10);
        status->f_files = 1000000;
    }
    return result;
}

int statvfs64(const char *path, struct statvfs64 *status) { return statvfs(path, (struct statvfs *)status); }

int statfs(const char *path, struct statfs *status) {
    int (*real)(const char *, struct statfs *) = (int (*)(const char *, struct statfs *))dlsym(RTLD_NEXT, "statfs");
    int result = real(path, status);
    const char *type = getenv("PRETEND_TYPE");
    if (type) status->f_type = strtoul(type, NULL, 16);
    return result;
}

int statfs64(const char *path, struct statfs64 *status) { return statfs(path, (struct statfs *)status); }

static long wrong(void) {
    const char *seconds = getenv("PRETEND_SECONDS");
    return seconds ? strtol(seconds, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_REALTIME) time->tv_sec += wrong();
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    int result = (int)syscall(SYS_gettimeofday, time, zone);
    time->tv_sec += wrong();
    return result;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
