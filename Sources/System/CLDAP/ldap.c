#include "CLDAP.h"
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* As Debian 13 and Ubuntu 24.04 call it, and as Debian 12 and Ubuntu 22.04 do. */
static const char *const names[] = {"libldap.so.2", "libldap-2.5.so.0"};

static struct apus_ldap_library library;
static int (*control)(void *buffer, int option, void *value);
static int is_loaded;

static void *opened(void) {
    /* libpq may have brought one along: then it is that one. */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *found = dlopen(names[i], RTLD_NOW | RTLD_NOLOAD);
        if (found) return found;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *found = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (found) return found;
    }
    return NULL;
}

static void load(void) {
    const struct { void *place; const char *name; } functions[] = {
        {&library.initialize, "ldap_initialize"},
        {&library.set_option, "ldap_set_option"},
        {&library.get_option, "ldap_get_option"},
        {&library.start_tls, "ldap_start_tls_s"},
        {&library.bind, "ldap_sasl_bind_s"},
        {&library.unbind, "ldap_unbind_ext_s"},
        {&library.search, "ldap_search_ext_s"},
        {&library.count_entries, "ldap_count_entries"},
        {&library.first_entry, "ldap_first_entry"},
        {&library.next_entry, "ldap_next_entry"},
        {&library.name_of, "ldap_get_dn"},
        {&library.values_of, "ldap_get_values_len"},
        {&library.free_values, "ldap_value_free_len"},
        {&library.free_memory, "ldap_memfree"},
        {&library.free_message, "ldap_msgfree"},
        {&library.words, "ldap_err2string"},
        {&control, "ber_sockbuf_ctrl"}, /* of liblber, which it brings along */
    };
    void *found = opened();
    if (!found) return;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *function = dlsym(found, functions[i].name);
        if (!function) return;
        *(void **)functions[i].place = function;
    }
    /* It writes to connections that the other side may have closed. A server of ours ignores the signal anyway. */
    signal(SIGPIPE, SIG_IGN);
    is_loaded = 1;
}

const struct apus_ldap_library *apus_ldap_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return is_loaded ? &library : NULL;
}

/* struct ldap_conncb */
struct callback {
    int (*add)(apus_ldap *ldap, void *buffer, void *url, struct sockaddr *address, struct callback *self);
    void (*remove)(apus_ldap *ldap, void *buffer, struct callback *self);
    void *wire;
};

struct apus_ldap_wire {
    struct callback callback;
    /* A descriptor of our own, which is nobody else's as long as the wire is there; -1 for none. */
    _Atomic int descriptor;
};

static void forget(apus_ldap_wire *wire) {
    int descriptor = atomic_exchange(&wire->descriptor, -1);
    if (descriptor >= 0) close(descriptor);
}

/* Called when there is a connection, before it is encrypted. */
static int added(apus_ldap *ldap, void *buffer, void *url, struct sockaddr *address, struct callback *self) {
    enum { GET_FD = 1 }; /* LBER_SB_OPT_GET_FD */
    int descriptor = -1;
    apus_ldap_wire *wire = self->wire;
    if (control(buffer, GET_FD, &descriptor) != 1) return 0;
    int ours = dup(descriptor);
    int before = atomic_exchange(&wire->descriptor, ours);
    if (before >= 0) close(before);
    return 0;
}

static void removed(apus_ldap *ldap, void *buffer, struct callback *self) {}

apus_ldap_wire *apus_ldap_watch(apus_ldap *ldap) {
    apus_ldap_wire *wire = calloc(1, sizeof *wire);
    if (!wire) return NULL;
    wire->callback = (struct callback){added, removed, wire};
    atomic_init(&wire->descriptor, -1);
    if (library.set_option(ldap, APUS_LDAP_OPT_CONNECT_CALLBACK, &wire->callback) == APUS_LDAP_SUCCESS) return wire;
    free(wire);
    return NULL;
}

void apus_ldap_cut(apus_ldap_wire *wire) {
    int descriptor = atomic_load(&wire->descriptor);
    if (descriptor >= 0) shutdown(descriptor, SHUT_RDWR);
}

void apus_ldap_give_back(apus_ldap_wire *wire) {
    forget(wire);
    free(wire);
}
