/*
 * native.c: the things that cost most and that Node.js has no way to do: send a file's bytes to a connection without copying
 * them, send a datagram at once, and SHA-256 in the thread pool. What each function promises stands in index.ts.
 *
 * Only Node-API, whose binary interface does not change: one binary serves Node.js 20, 22 and 24.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <node_api.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "images may be longer than 2 GiB: compile with _FILE_OFFSET_BITS=64");

/* So much is looked up in the page cache, and then sent, at a time. */
enum { STEP_BYTES = 1024 * 1024, LEAST_PAGE_BYTES = 4096 };

/* What a send tells when nothing was taken. */
enum { FULL = 0, NOT_IN_MEMORY = -1, FAILED = -2 };

/*
 * How many bytes from `position` on, at most `length` (STEP_BYTES or less), the page cache holds: sendfile(2) would wait for
 * the others, and the event loop with it. None where the file system cannot map a file, or nothing tells. Of a file that
 * this user neither owns nor may write the kernel says that all of it is there (mincore(2)): then sendfile may wait.
 */
static size_t held_in_memory(int file, off_t position, size_t length) {
  unsigned char pages[STEP_BYTES / LEAST_PAGE_BYTES + 1];
  const size_t page = sysconf(_SC_PAGESIZE);
  const size_t before = position % page;
  const size_t mapped = before + length;
  /* Private: JFFS2 shares no mapping of a file that is open for writing. Nothing is read through it. */
  void *at = mmap(NULL, mapped, PROT_READ, MAP_PRIVATE, file, position - before);
  if (at == MAP_FAILED) return 0;
  const size_t count = (mapped + page - 1) / page;
  size_t held = 0;
  if (mincore(at, mapped, pages) == 0)
    while (held < count && (pages[held] & 1)) held++;
  munmap(at, mapped);
  if (held == 0) return 0;
  const size_t bytes = held * page - before;
  return bytes < length ? bytes : length;
}

/*
 * Sends until the connection takes no more, the next bytes are not in memory, or the file ends. Does not wait for a
 * connection that does not block, as those of Node.js do not; one that is broken is told by errno alone, as Node.js ignores
 * SIGPIPE.
 */
static int64_t send_all(int socket, int file, off_t position, int64_t length) {
  int64_t taken = 0;
  while (taken < length) {
    const size_t step = length - taken < STEP_BYTES ? length - taken : STEP_BYTES;
    const size_t held = held_in_memory(file, position, step);
    if (held == 0) return taken > 0 ? taken : NOT_IN_MEMORY;
    /* It moves `position` on. */
    const ssize_t sent = sendfile(socket, file, &position, held);
    if (sent < 0 && taken == 0 && errno != EAGAIN && errno != EINTR) return FAILED;
    if (sent > 0) taken += sent;
    if (sent < (ssize_t)held) break;
  }
  return taken > 0 ? taken : FULL;
}

/* sendFile(socket, file, position, length): bytes taken, or FULL, NOT_IN_MEMORY, FAILED. */
static napi_value send_file(napi_env env, napi_callback_info info) {
  napi_value given[4], result;
  size_t count = 4;
  int32_t socket, file;
  int64_t position, length;
  int64_t taken = FAILED;
  if (napi_get_cb_info(env, info, &count, given, NULL, NULL) == napi_ok && count == 4 &&
      napi_get_value_int32(env, given[0], &socket) == napi_ok && napi_get_value_int32(env, given[1], &file) == napi_ok &&
      napi_get_value_int64(env, given[2], &position) == napi_ok &&
      napi_get_value_int64(env, given[3], &length) == napi_ok && position >= 0 && length >= 0)
    taken = send_all(socket, file, position, length);
  return napi_create_int64(env, taken, &result) == napi_ok ? result : NULL;
}

/* A socket of this family, opened when it is first sent on, and kept; -1 when there is none. */
static int socket_of(int family) {
  static int sockets[2] = {-1, -1};
  int *kept = &sockets[family == AF_INET6];
  if (*kept < 0 && (*kept = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) >= 0) {
    /* Nobody reads what is answered: the kernel keeps as little as it can. */
    const int none = 0;
    setsockopt(*kept, SOL_SOCKET, SO_RCVBUF, &none, sizeof none);
  }
  return *kept;
}

/* sendDatagram(host, port, bytes): whether the kernel has taken it. */
static napi_value send_datagram(napi_env env, napi_callback_info info) {
  napi_value given[3], result;
  size_t count = 3, length;
  char host[INET6_ADDRSTRLEN + 1];
  uint32_t port;
  napi_typedarray_type kind;
  struct iovec bytes;
  union {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } to = {0};
  struct msghdr message = {.msg_name = &to, .msg_iov = &bytes, .msg_iovlen = 1};
  int taken = 0;
  if (napi_get_cb_info(env, info, &count, given, NULL, NULL) == napi_ok && count == 3 &&
      napi_get_value_string_latin1(env, given[0], host, sizeof host, &length) == napi_ok && length < INET6_ADDRSTRLEN &&
      napi_get_value_uint32(env, given[1], &port) == napi_ok && port <= 0xffff &&
      napi_get_typedarray_info(env, given[2], &kind, &bytes.iov_len, &bytes.iov_base, NULL, NULL) == napi_ok &&
      kind == napi_uint8_array) {
    if (inet_pton(AF_INET, host, &to.v4.sin_addr) == 1) {
      to.v4.sin_family = AF_INET;
      to.v4.sin_port = htons(port);
      message.msg_namelen = sizeof to.v4;
    } else if (inet_pton(AF_INET6, host, &to.v6.sin6_addr) == 1) {
      to.v6.sin6_family = AF_INET6;
      to.v6.sin6_port = htons(port);
      message.msg_namelen = sizeof to.v6;
    }
    taken = message.msg_namelen > 0 && sendmsg(socket_of(to.v4.sin_family), &message, 0) >= 0;
  }
  return napi_get_boolean(env, taken, &result) == napi_ok ? result : NULL;
}

/* Node.js has OpenSSL in it or beside it; its interface for digests has not changed since 1.1. */
static struct {
  void *(*make)(void);
  void (*drop)(void *);
  const void *(*sha256)(void);
  int (*begin)(void *, const void *, void *);
  int (*add)(void *, const void *, size_t);
  int (*end)(void *, unsigned char *, unsigned *);
} openssl;

static int find_openssl(void) {
  *(void **)&openssl.make = dlsym(RTLD_DEFAULT, "EVP_MD_CTX_new");
  *(void **)&openssl.drop = dlsym(RTLD_DEFAULT, "EVP_MD_CTX_free");
  *(void **)&openssl.sha256 = dlsym(RTLD_DEFAULT, "EVP_sha256");
  *(void **)&openssl.begin = dlsym(RTLD_DEFAULT, "EVP_DigestInit_ex");
  *(void **)&openssl.add = dlsym(RTLD_DEFAULT, "EVP_DigestUpdate");
  *(void **)&openssl.end = dlsym(RTLD_DEFAULT, "EVP_DigestFinal_ex");
  if (!openssl.make || !openssl.drop || !openssl.sha256 || !openssl.begin || !openssl.add || !openssl.end) return 0;
  /* Its configuration may refuse it. */
  void *digest = openssl.make();
  const int begun = digest && openssl.begin(digest, openssl.sha256(), NULL) == 1;
  openssl.drop(digest);
  return begun;
}

/* The digest is NULL after its end. While an addition is on its way, the thread pool alone may touch it. */
struct hash {
  void *digest;
  int is_busy;
};

static void drop_hash(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  struct hash *hash = data;
  if (hash->digest) openssl.drop(hash->digest);
  free(hash);
}

/* makeHash(): a SHA-256 of nothing yet. Throws when there is no memory. */
static napi_value make_hash(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result;
  struct hash *hash = calloc(1, sizeof *hash);
  if (hash && (hash->digest = openssl.make()) && openssl.begin(hash->digest, openssl.sha256(), NULL) == 1 &&
      napi_create_external(env, hash, drop_hash, NULL, &result) == napi_ok)
    return result;
  if (hash) drop_hash(env, hash, NULL);
  napi_throw_error(env, "ENOMEM", "cannot begin a digest");
  return NULL;
}

/* One addition on its way through the thread pool; what it works on is kept from the garbage collector meanwhile. */
struct addition {
  napi_async_work work;
  napi_ref hash_ref, bytes_ref, done_ref;
  struct hash *hash;
  const void *bytes;
  size_t length;
  int failed;
};

static void add_now(napi_env env, void *data) {
  (void)env;
  struct addition *addition = data;
  addition->failed = openssl.add(addition->hash->digest, addition->bytes, addition->length) != 1;
}

static void forget(napi_env env, struct addition *addition) {
  if (addition->hash_ref) napi_delete_reference(env, addition->hash_ref);
  if (addition->bytes_ref) napi_delete_reference(env, addition->bytes_ref);
  if (addition->done_ref) napi_delete_reference(env, addition->done_ref);
  if (addition->work) napi_delete_async_work(env, addition->work);
  free(addition);
}

static void added(napi_env env, napi_status status, void *data) {
  struct addition *addition = data;
  const int failed = status != napi_ok || addition->failed;
  napi_value done = NULL, nothing, failure;
  addition->hash->is_busy = 0;
  napi_get_reference_value(env, addition->done_ref, &done);
  forget(env, addition);
  /* What it throws ends the process, as from any callback. Where the environment is being left, it is not called. */
  if (done && napi_get_undefined(env, &nothing) == napi_ok && napi_get_boolean(env, failed, &failure) == napi_ok)
    napi_call_function(env, nothing, done, 1, &failure, NULL);
}

/* The hash that a value stands for; NULL for anything else, after its end, and while an addition is on its way. */
static struct hash *idle_hash(napi_env env, napi_value value) {
  void *data;
  if (napi_get_value_external(env, value, &data) != napi_ok) return NULL;
  struct hash *hash = data;
  return hash->digest && !hash->is_busy ? hash : NULL;
}

/*
 * addToHash(hash, bytes, done): adds bytes in the thread pool, then calls done(failed). Throws after the end of the hash, and
 * while another addition is on its way. That nobody writes to the bytes meanwhile, nor gives them to another thread, is the caller's promise.
 */
static napi_value add_to_hash(napi_env env, napi_callback_info info) {
  napi_value given[3], name;
  size_t count = 3;
  napi_typedarray_type kind;
  napi_valuetype type;
  void *bytes;
  struct addition *addition = calloc(1, sizeof *addition);
  if (addition && napi_get_cb_info(env, info, &count, given, NULL, NULL) == napi_ok && count == 3 &&
      (addition->hash = idle_hash(env, given[0])) &&
      napi_get_typedarray_info(env, given[1], &kind, &addition->length, &bytes, NULL, NULL) == napi_ok &&
      kind == napi_uint8_array && napi_typeof(env, given[2], &type) == napi_ok && type == napi_function &&
      napi_create_reference(env, given[0], 1, &addition->hash_ref) == napi_ok &&
      napi_create_reference(env, given[1], 1, &addition->bytes_ref) == napi_ok &&
      napi_create_reference(env, given[2], 1, &addition->done_ref) == napi_ok &&
      napi_create_string_utf8(env, "dmgw:sha256", NAPI_AUTO_LENGTH, &name) == napi_ok &&
      napi_create_async_work(env, NULL, name, add_now, added, addition, &addition->work) == napi_ok) {
    addition->bytes = bytes;
    addition->hash->is_busy = 1;
    if (napi_queue_async_work(env, addition->work) == napi_ok) return NULL;
    addition->hash->is_busy = 0;
  }
  if (addition) forget(env, addition);
  napi_throw_error(env, "EINVAL", "cannot add to a digest");
  return NULL;
}

/* endHash(hash): its 32 bytes. Throws the second time, and while an addition is on its way. */
static napi_value end_hash(napi_env env, napi_callback_info info) {
  napi_value given[1], result;
  size_t count = 1;
  struct hash *hash;
  void *bytes;
  unsigned char digest[64];
  unsigned length;
  if (napi_get_cb_info(env, info, &count, given, NULL, NULL) == napi_ok && count == 1 &&
      (hash = idle_hash(env, given[0]))) {
    const int ended = openssl.end(hash->digest, digest, &length);
    openssl.drop(hash->digest);
    hash->digest = NULL;
    if (ended == 1 && napi_create_buffer_copy(env, length, digest, &bytes, &result) == napi_ok) return result;
  }
  napi_throw_error(env, "EINVAL", "cannot end a digest");
  return NULL;
}

static void offer(napi_env env, napi_value exports, const char *name, napi_callback call) {
  napi_value function;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, name, function);
}

NAPI_MODULE_INIT() {
  offer(env, exports, "sendFile", send_file);
  offer(env, exports, "sendDatagram", send_datagram);
  if (find_openssl()) {
    offer(env, exports, "makeHash", make_hash);
    offer(env, exports, "addToHash", add_to_hash);
    offer(env, exports, "endHash", end_hash);
  }
  return exports;
}
