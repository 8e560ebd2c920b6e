#define _GNU_SOURCE
#include "CMemory.h"

#include <link.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

// The first object is the program itself. Code that can be written, which there is none of, would be lost.
static int let_go(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size, (void)context;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int number = 0; number < object->dlpi_phnum; number++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[number];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X) || (part->p_flags & PF_W)) continue;
        // Whole pages only: others may lie on the first and the last.
        uintptr_t start = (uintptr_t)object->dlpi_addr + part->p_vaddr;
        uintptr_t end = (start + part->p_memsz) / page * page;
        start = (start + page - 1) / page * page;
        if (start < end) madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 1;
}

void memory_give_back(void) {
    malloc_trim(0);
    dl_iterate_phdr(let_go, NULL);
}
