/*
 * native.c: the addon, and in it what sends: a file's bytes to a connection without copying them, and a datagram at once;
 * and the end of the process.
 * What each function promises stands in index.ts.
 */
#include "native.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Linux 6.5; older headers do not have it. This is its number on ARM, AArch64 and x86; where it is none, mincore(2) answers. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
/* RWF_NOWAIT. Its header is Linux's own, and preadv2 as a function is missing in musl before 1.2.5. */
enum { READ_WITHOUT_WAITING = 8 };

_Static_assert(sizeof(off_t) == 8, "images may be longer than 2 GiB: compile with _FILE_OFFSET_BITS=64");

/* So much is looked up in the page cache, and then sent, at a time. */
enum { STEP_BYTES = 1024 * 1024, LEAST_PAGE_BYTES = 4096 };

/* What a send tells when nothing was taken. */
enum { FULL = 0, NOT_IN_MEMORY = -1, FAILED = -2 };

/*
 * Whether the page cache is sure to hold `length` bytes from `position` on: in a fraction of the time of mincore(2), which
 * goes page by page. cachestat(2) counts pages that are still being read, too: those come in order, so the last byte,
 * which is not waited for, tells of them.
 */
static int all_in_memory(int file, off_t position, size_t length) {
  const off_t page = sysconf(_SC_PAGESIZE);
  const off_t last = position + length - 1;
  const uint64_t range[2] = {position, length};
  /* In the cache; dirty, written back, evicted, evicted of late: of no interest. */
  uint64_t pages[5] = {0};
  char byte;
  struct iovec into = {.iov_base = &byte, .iov_len = 1};
  return syscall(SYS_cachestat, file, range, pages, 0) == 0 && pages[0] >= (uint64_t)(last / page - position / page + 1) &&
         syscall(SYS_preadv2, file, &into, 1, (long)last, (long)((uint64_t)last >> 32), READ_WITHOUT_WAITING) == 1;
}

/*
 * How many bytes from `position` on, at most `length` (STEP_BYTES or less), the page cache holds: sendfile(2) would wait for
 * the others, and the event loop with it. None where the file system cannot map a file, or nothing tells. Of a file that
 * this user neither owns nor may write the kernel says that all of it is there (mincore(2)): then sendfile may wait.
 */
static size_t held_in_memory(int file, off_t position, size_t length) {
  if (all_in_memory(file, position, length)) return length;
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

/* unacknowledged(socket): bytes sent that the other side has not acknowledged, its end (FIN) as one; -1 on a failure. */
static napi_value unacknowledged(napi_env env, napi_callback_info info) {
  napi_value given[1], result;
  size_t count = 1;
  int32_t socket;
  int left = -1;
  if (napi_get_cb_info(env, info, &count, given, NULL, NULL) != napi_ok || count != 1 ||
      napi_get_value_int32(env, given[0], &socket) != napi_ok || ioctl(socket, SIOCOUTQ, &left) != 0)
    left = -1;
  return napi_create_int32(env, left, &result) == napi_ok ? result : NULL;
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
    /* Beside `to`: what is no IPv4 address may be half written before that is seen, onto sin6_flowinfo. */
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) == 1) {
      to.v4.sin_addr = v4;
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

/* end(code): ends the process, whatever its threads are at. */
static napi_value end(napi_env env, napi_callback_info info) {
  napi_value given[1];
  size_t count = 1;
  int32_t code;
  if (napi_get_cb_info(env, info, &count, given, NULL, NULL) == napi_ok && count == 1 &&
      napi_get_value_int32(env, given[0], &code) == napi_ok)
    _exit(code);
  napi_throw_error(env, "EINVAL", "no exit code");
  return NULL;
}

void offer(napi_env env, napi_value exports, const char *name, napi_callback call) {
  napi_value function;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, NULL, &function) == napi_ok)
    napi_set_named_property(env, exports, name, function);
}

NAPI_MODULE_INIT() {
  offer(env, exports, "sendFile", send_file);
  offer(env, exports, "unacknowledged", unacknowledged);
  offer(env, exports, "sendDatagram", send_datagram);
  offer(env, exports, "end", end);
  offer_sum(env, exports);
  offer_hash(env, exports);
  return exports;
}
