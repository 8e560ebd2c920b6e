#include "CBuild.h"

const char *apus_build_commit(void) { return BUILT_FROM; }
