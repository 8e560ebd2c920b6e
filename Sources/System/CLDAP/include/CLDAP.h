#pragma once
#include <sys/time.h>

/* What is used of OpenLDAP's client library, which is loaded when it is needed: who has no directory need not have it.
 *
 * The types, signatures and numbers are those of ldap.h of OpenLDAP 2.5 and 2.6, whose binary interface is the same. */

typedef struct ldap apus_ldap;
typedef struct ldapmsg apus_ldap_message;
typedef struct ldapcontrol apus_ldap_control;

/* struct berval */
typedef struct apus_ldap_bytes {
    unsigned long length;
    char *bytes;
} apus_ldap_bytes;

enum {
    APUS_LDAP_VERSION3 = 3,
    APUS_LDAP_SCOPE_BASE = 0,
    APUS_LDAP_SCOPE_SUBTREE = 2,

    APUS_LDAP_OPT_REFERRALS = 0x0008,
    APUS_LDAP_OPT_RESTART = 0x0009,
    APUS_LDAP_OPT_PROTOCOL_VERSION = 0x0011,
    APUS_LDAP_OPT_DIAGNOSTIC_MESSAGE = 0x0032,
    APUS_LDAP_OPT_TIMEOUT = 0x5002,
    APUS_LDAP_OPT_NETWORK_TIMEOUT = 0x5005,
    APUS_LDAP_OPT_CONNECT_CALLBACK = 0x5011,
    APUS_LDAP_OPT_TCP_USER_TIMEOUT = 0x5015,
    APUS_LDAP_OPT_TLS_AUTHORITIES = 0x6002, /* CACERTFILE */
    APUS_LDAP_OPT_TLS_REQUIRE = 0x6006,     /* REQUIRE_CERT */
    APUS_LDAP_OPT_TLS_MINIMUM = 0x6007,     /* PROTOCOL_MIN */
    APUS_LDAP_OPT_TLS_NEW = 0x600f,         /* NEWCTX */

    APUS_LDAP_TLS_DEMAND = 2,
    APUS_LDAP_TLS_1_2 = (3 << 8) + 3,

    APUS_LDAP_SUCCESS = 0,
    APUS_LDAP_SIZELIMIT_EXCEEDED = 4,
    APUS_LDAP_NO_SUCH_OBJECT = 32,
    APUS_LDAP_INVALID_CREDENTIALS = 49,
    APUS_LDAP_TIMEOUT = -5,
};

struct apus_ldap_library {
    int (*initialize)(apus_ldap **made, const char *url);
    int (*set_option)(apus_ldap *ldap, int option, const void *value);
    int (*get_option)(apus_ldap *ldap, int option, void *value);
    int (*start_tls)(apus_ldap *ldap, apus_ldap_control **server, apus_ldap_control **client);
    int (*bind)(
        apus_ldap *ldap, const char *name, const char *mechanism, apus_ldap_bytes *password, apus_ldap_control **server,
        apus_ldap_control **client, apus_ldap_bytes **answer);
    int (*unbind)(apus_ldap *ldap, apus_ldap_control **server, apus_ldap_control **client);
    int (*search)(
        apus_ldap *ldap, const char *base, int scope, const char *filter, char **attributes, int only_types, apus_ldap_control **server,
        apus_ldap_control **client, struct timeval *time, int limit, apus_ldap_message **found);
    int (*count_entries)(apus_ldap *ldap, apus_ldap_message *found);
    apus_ldap_message *(*first_entry)(apus_ldap *ldap, apus_ldap_message *found);
    apus_ldap_message *(*next_entry)(apus_ldap *ldap, apus_ldap_message *entry);
    char *(*name_of)(apus_ldap *ldap, apus_ldap_message *entry);
    apus_ldap_bytes **(*values_of)(apus_ldap *ldap, apus_ldap_message *entry, const char *attribute);
    void (*free_values)(apus_ldap_bytes **values);
    void (*free_memory)(void *memory);
    int (*free_message)(apus_ldap_message *found);
    char *(*words)(int code);
};

/* What a connection goes over, so that another thread can cut it. */
typedef struct apus_ldap_wire apus_ldap_wire;

/* From now on knows what the connection will go over; NULL where that cannot be. To be given back once the connection is closed. */
apus_ldap_wire *apus_ldap_watch(apus_ldap *ldap);

/* Ends whatever waits for the other side, from any thread. */
void apus_ldap_cut(apus_ldap_wire *wire);

void apus_ldap_give_back(apus_ldap_wire *wire);

/* Loads the library, the first time; NULL where there is none. */
const struct apus_ldap_library *apus_ldap_load(void);
