/*
 * sum.c: a checksum that takes as long as reading, for what is read at each start. Against rot, not against anybody.
 */
#include "native.h"
#include <string.h>

/* For each octet that is another one the sum is another one: each step can be undone. */
static uint64_t step(uint64_t sum, uint64_t word) {
  sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
  return sum ^ sum >> 32;
}

static uint64_t add(uint64_t sum, const unsigned char *at, size_t length) {
  uint64_t word;
  sum = step(sum, length);
  for (; length >= sizeof word; at += sizeof word, length -= sizeof word) {
    memcpy(&word, at, sizeof word);
    sum = step(sum, word);
  }
  word = 0;
  memcpy(&word, at, length);
  return step(sum, word);
}

/* checksum(first, second): of both and where they meet, as a BigInt. */
static napi_value checksum(napi_env env, napi_callback_info info) {
  napi_value given[2], result;
  size_t count = 2, length;
  napi_typedarray_type kind;
  void *bytes;
  uint64_t sum = 0;
  if (napi_get_cb_info(env, info, &count, given, NULL, NULL) != napi_ok) return NULL;
  for (size_t n = 0; n < 2; n++) {
    if (napi_get_typedarray_info(env, given[n], &kind, &length, &bytes, NULL, NULL) != napi_ok || kind != napi_uint8_array) {
      napi_throw_error(env, "EINVAL", "no bytes to sum");
      return NULL;
    }
    sum = add(sum, bytes, length);
  }
  return napi_create_bigint_uint64(env, sum, &result) == napi_ok ? result : NULL;
}

void offer_sum(napi_env env, napi_value exports) {
  offer(env, exports, "checksum", checksum);
}
