#include "CSQLite.h"
#include "gathering.h"

int apus_sqlite_configure(void) {
    int code = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    return code == SQLITE_OK ? gathering_register() : code;
}
