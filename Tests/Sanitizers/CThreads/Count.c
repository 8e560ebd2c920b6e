#include "CThreads.h"

static long count;

long c_threads_count(void) { return ++count; }
