/*
 * client.c: HTTP clients that read what they are sent and throw it away, all of them in one process and one thread.
 * They do read it: where the kernel throws it away (MSG_TRUNC, tcp(7)), a server with sendfile never touches a byte over
 * loopback, which no device on a network ever sees.
 *
 *   client ADDRESS PORT PATH whole N [BYTES]         N clients, the whole file (or its first BYTES) each
 *   client ADDRESS PORT PATH ranges N SIZE SECONDS   N clients, random aligned 64 KiB ranges of SIZE bytes
 *   client ADDRESS PORT PATH mixed N STALLED SLOW    as whole, beside clients that read nothing or 10 KB/s
 *   client ADDRESS PORT PATH loop N                  N clients, the whole file again and again, until stdin ends
 *   client ADDRESS PORT PATH hold N                  N clients that ask and read nothing, until stdin ends
 *
 * The clock starts when all connections are open. One line of JSON tells of the end; loop and hold write one more when
 * they have begun. Anything but a 200 or 206 of the announced length ends it with exit code 1 and a line on stderr.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES = 4096, MAX_CLIENTS = 4096, RANGE_BYTES = 64 * 1024, READ_BYTES = 64 * 1024, TAKE_BYTES = 4 * 1024 * 1024 };
enum { SLOW_BYTES_PER_SECOND = 10000, SLOW_TICK_MS = 100, SILENCE_MS = 60000 };

struct client {
  int fd;
  int has_head;
  long long left;
  size_t head_length;
  char head[HEAD_BYTES];
};

static struct client clients[MAX_CLIENTS];
static const char *path, *host;
static struct sockaddr_in server;
static long long taken, replies;
static char thrown_away[READ_BYTES];

static void fail(const char *what) {
  fprintf(stderr, "client: %s (%s)\n", what, errno ? strerror(errno) : "no error of the system");
  exit(1);
}

static double now_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1e3 + at.tv_nsec / 1e6;
}

/* The same random numbers in every run (splitmix64). */
static unsigned long long next_random(void) {
  static unsigned long long state = 20260101;
  unsigned long long z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

static void ask(struct client *client, const char *range) {
  char request[1024];
  int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, host, range);
  client->has_head = 0;
  client->head_length = 0;
  client->left = 0;
  errno = 0;
  if (write(client->fd, request, length) != length) fail("cannot send a request");
}

static void ask_range(struct client *client, long long size) {
  char range[96];
  long long first = (long long)(next_random() % (size / RANGE_BYTES)) * RANGE_BYTES;
  snprintf(range, sizeof range, "Range: bytes=%lld-%lld\r\n", first, first + RANGE_BYTES - 1);
  ask(client, range);
}

static void dial(struct client *client) {
  client->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&server, sizeof server)) fail("cannot connect");
}

/* Takes the head of a reply. What comes with it of the content counts. @returns whether it is complete */
static int take_head(struct client *client) {
  ssize_t got = recv(client->fd, client->head + client->head_length, HEAD_BYTES - 1 - client->head_length, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return 0;
  if (got <= 0) fail("the server closes before a whole head");
  client->head_length += got;
  client->head[client->head_length] = 0;
  char *end = strstr(client->head, "\r\n\r\n");
  if (!end) {
    if (client->head_length == HEAD_BYTES - 1) fail("the head is too long");
    return 0;
  }
  errno = 0;
  if (strncmp(client->head + 9, "200", 3) && strncmp(client->head + 9, "206", 3)) fail("not 200 or 206");
  char *length = strcasestr(client->head, "\r\ncontent-length:");
  if (!length || length > end) fail("no Content-Length");
  long long with_head = client->head_length - (end + 4 - client->head);
  client->left = atoll(length + 17) - with_head;
  taken += with_head;
  client->has_head = 1;
  return 1;
}

/* Takes at most so many bytes of content. @returns whether the reply is complete */
static int take(struct client *client, long long most) {
  if (!client->has_head && !take_head(client)) return 0;
  while (client->left > 0 && most > 0) {
    size_t length = client->left < most ? client->left : most;
    ssize_t got = recv(client->fd, thrown_away, length < sizeof thrown_away ? length : sizeof thrown_away, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) fail("the server closes in the middle");
    client->left -= got;
    taken += got;
    most -= got;
  }
  if (client->left == 0) replies++;
  return client->left == 0;
}

/* Another request follows: on a new connection where the server ends this one. */
static void renew(struct client *client, int events) {
  if (!strcasestr(client->head, "\r\nconnection: close")) return;
  close(client->fd);
  dial(client);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
  epoll_ctl(events, EPOLL_CTL_ADD, client->fd, &event);
}

static void report(double started_ms) {
  struct rusage own;
  getrusage(RUSAGE_SELF, &own);
  double cpu_ms = (own.ru_utime.tv_sec + own.ru_stime.tv_sec) * 1e3 + (own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e3;
  printf("{\"wallMs\":%.3f,\"bytes\":%lld,\"replies\":%lld,\"cpuMs\":%.1f}\n", now_ms() - started_ms, taken, replies, cpu_ms);
  fflush(stdout);
}

static int stdin_has_ended(void) {
  struct pollfd input = {.fd = 0, .events = POLLIN};
  char byte;
  return poll(&input, 1, 0) > 0 && read(0, &byte, 1) <= 0;
}

int main(int count, char **words) {
  if (count < 6) fail("too few arguments");
  server.sin_family = AF_INET;
  server.sin_port = htons(atoi(words[2]));
  if (inet_pton(AF_INET, words[1], &server.sin_addr) != 1) fail("not an IPv4 address");
  host = words[1];
  path = words[3];
  const char *mode = words[4];
  int n = atoi(words[5]);
  long long size = 0;
  double seconds = 0;
  int stalled = 0, slow = 0;
  char range[96] = "";
  if (!strcmp(mode, "whole") && count > 6) snprintf(range, sizeof range, "Range: bytes=0-%lld\r\n", atoll(words[6]) - 1);
  if (!strcmp(mode, "ranges")) size = atoll(words[6]), seconds = atof(words[7]);
  if (!strcmp(mode, "mixed")) stalled = atoi(words[6]), slow = atoi(words[7]);
  int looping = !strcmp(mode, "loop");
  int holding = !strcmp(mode, "hold");
  if (n + stalled + slow > MAX_CLIENTS) fail("too many clients");

  struct rlimit files = {.rlim_cur = MAX_CLIENTS + 64, .rlim_max = MAX_CLIENTS + 64};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  for (int i = 0; i < n + stalled + slow; i++) dial(&clients[i]);
  struct client *slow_ones = clients + n + stalled;
  for (int i = n; i < n + stalled + slow; i++) ask(&clients[i], "");
  /* Their buffers in the kernel are full before the others begin. */
  if (stalled + slow > 0) usleep(500 * 1000);
  if (holding) {
    for (int i = 0; i < n; i++) ask(&clients[i], "");
    double started_ms = now_ms();
    printf("{\"begun\":true}\n");
    fflush(stdout);
    while (!stdin_has_ended()) usleep(20 * 1000);
    report(started_ms);
    return 0;
  }

  int events = epoll_create1(0);
  for (int i = 0; i < n; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
    epoll_ctl(events, EPOLL_CTL_ADD, clients[i].fd, &event);
  }
  double started_ms = now_ms(), tick_ms = started_ms, moved_ms = started_ms;
  for (int i = 0; i < n; i++) {
    if (size > 0) ask_range(&clients[i], size);
    else ask(&clients[i], range);
  }
  if (looping) {
    printf("{\"begun\":true}\n");
    fflush(stdout);
  }
  int open = n;
  while (open > 0) {
    struct epoll_event ready[256];
    int found = epoll_wait(events, ready, 256, SLOW_TICK_MS);
    double at_ms = now_ms();
    for (int i = 0; i < found; i++) {
      struct client *client = ready[i].data.ptr;
      moved_ms = at_ms;
      if (!take(client, TAKE_BYTES)) continue;
      int again = looping || (size > 0 && at_ms - started_ms < seconds * 1e3);
      if (!again) {
        close(client->fd);
        open--;
        continue;
      }
      renew(client, events);
      if (looping) ask(client, range);
      else ask_range(client, size);
    }
    if (at_ms - moved_ms > SILENCE_MS) fail("nothing comes any more");
    if (slow > 0 && at_ms - tick_ms >= SLOW_TICK_MS) {
      for (int i = 0; i < slow; i++) take(&slow_ones[i], (long long)((at_ms - tick_ms) * SLOW_BYTES_PER_SECOND / 1e3));
      tick_ms = at_ms;
    }
    if (looping && stdin_has_ended()) break;
  }
  report(started_ms);
  return 0;
}
