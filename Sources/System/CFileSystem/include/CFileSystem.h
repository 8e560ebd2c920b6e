#pragma once
#include <stdint.h>

/* The number of the file system that a path lies on, as linux/magic.h has it; 0 where it cannot be told. */
uint32_t apus_file_system(const char *path);
