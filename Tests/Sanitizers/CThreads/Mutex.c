// Tells ThreadSanitizer of Swift's `Mutex`. Where no thread has to wait, it is atomic operations in the code of its user, which are seen.
// Where one waits, the kernel hands it over, in functions of libswiftSynchronization, which is not compiled for ThreadSanitizer. Those are
// defined here once more, and found first, as this is part of the program: each does what the library's own does, and tells of it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self

// Of `_MutexHandle`: `_lockSlow(_: UInt32)`, `_tryLockSlow() -> Bool` and `_unlockSlow()`. What is told of has the address of the atomic
// value that the code of users works on, so that both ways of handing over are one.
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

SWIFT void lock_slow(uint32_t thread, SELF) __asm__(LOCK);
SWIFT bool try_lock_slow(SELF) __asm__(TRY_LOCK);
SWIFT void unlock_slow(SELF) __asm__(UNLOCK);

static void *of_library(_Atomic(void *) *known, const char *name) {
    void *found = atomic_load_explicit(known, memory_order_relaxed);
    if (found) return found;
    found = dlsym(RTLD_NEXT, name);
    if (!found) {
        fprintf(stderr, "Swift's Mutex has no %s: see Tests/Sanitizers/CThreads/Mutex.c\n", name);
        abort();
    }
    atomic_store_explicit(known, found, memory_order_relaxed);
    return found;
}

SWIFT void lock_slow(uint32_t thread, SELF) {
    static _Atomic(void *) known;
    ((SWIFT void (*)(uint32_t, SELF))of_library(&known, LOCK))(thread, self);
    __tsan_acquire(self);
}

SWIFT bool try_lock_slow(SELF) {
    static _Atomic(void *) known;
    bool is_locked = ((SWIFT bool (*)(SELF))of_library(&known, TRY_LOCK))(self);
    if (is_locked) __tsan_acquire(self);
    return is_locked;
}

SWIFT void unlock_slow(SELF) {
    static _Atomic(void *) known;
    __tsan_release(self);
    ((SWIFT void (*)(SELF))of_library(&known, UNLOCK))(self);
}
