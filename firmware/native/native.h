/*
 * native.h: what the parts of the addon share.
 *
 * Only Node-API, whose binary interface does not change: one binary serves Node.js 20, 22 and 24.
 */
#define _GNU_SOURCE
#include <node_api.h>

/* Puts a function among what the addon exports. */
void offer(napi_env env, napi_value exports, const char *name, napi_callback call);

/* Offers checksum. */
void offer_sum(napi_env env, napi_value exports);

/* Offers makeHash, addToHash and endHash, where the program has an OpenSSL that can be found. */
void offer_hash(napi_env env, napi_value exports);
