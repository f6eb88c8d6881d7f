/*
 * Does to files what its arguments say, each by the system call that the word names; with no bookkeeping of its own,
 * so that what is left after a cut is the library's doing alone. Prints the outcome of each step: a number, or the name
 * of the error. Files are relative to the working directory.
 *
 *   pwrite FILE OFFSET CHAR COUNT   pwritev (the same, in two parts)   append FILE CHAR COUNT   dup FILE CHAR COUNT
 *   read FILE   pread FILE   held FILE (pages in memory)   counted FILE (the same, by another call)   sync FILE|FOLDER   datasync FILE|FOLDER   cut FILE SIZE   empty FILE   rename A B   unlink A   mkdir A
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char bytes[1 << 20];

static const char *fill(const char *letter, size_t count) {
  if (count > sizeof bytes) abort();
  return memset(bytes, letter[0], count);
}

static long closing(int fd, long result) {
  int error = errno;
  if (fd >= 0) close(fd);
  errno = error;
  return fd < 0 ? -1 : result;
}

static long write_at(const char *file, off_t offset, const char *letter, size_t count, int in_two) {
  int fd = open(file, O_RDWR | O_CREAT, 0600);
  fill(letter, count);
  struct iovec parts[] = {{bytes, count / 2}, {bytes, count - count / 2}};
  return closing(fd, in_two ? pwritev(fd, parts, 2, offset) : pwrite(fd, bytes, count, offset));
}

static long held(const char *file) {
  static unsigned char pages[1 << 16];
  int fd = open(file, O_RDONLY);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) return closing(fd, -1);
  size_t page = (size_t)sysconf(_SC_PAGESIZE), count = ((size_t)status.st_size + page - 1) / page;
  void *at = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED || count > sizeof pages || mincore(at, (size_t)status.st_size, pages) != 0) return closing(fd, -1);
  long found = 0;
  for (size_t i = 0; i < count; i++) found += pages[i] & 1;
  munmap(at, (size_t)status.st_size);
  return closing(fd, found);
}

static long counted(const char *file) {
  int fd = open(file, O_RDONLY);
  unsigned long range[2] = {0, 0}, pages[5] = {0};
  long result = syscall(451 /* cachestat: the whole file */, fd, range, pages, 0);
  return closing(fd, result < 0 ? result : (long)pages[0]);
}

static long append(const char *file, const char *letter, size_t count) {
  int fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0600);
  fill(letter, count);
  struct iovec parts[] = {{bytes, count / 2}, {bytes, count - count / 2}};
  return closing(fd, count > 1 ? writev(fd, parts, 2) : write(fd, bytes, count));
}

/* By a second descriptor, at the position where the first one stands. */
static long write_dup(const char *file, const char *letter, size_t count) {
  int fd = open(file, O_RDWR | O_CREAT, 0600);
  lseek(fd, 0, SEEK_END);
  int second = dup(fd);
  close(fd);
  return closing(second, write(second, fill(letter, count), count));
}

static long sync_with(int (*sync)(int), const char *path) {
  int fd = open(path, O_RDONLY);
  return closing(fd, sync(fd));
}

static long cut_to(const char *file, off_t size) {
  int fd = open(file, O_RDWR);
  return closing(fd, ftruncate(fd, size));
}

static long read_all(const char *file) {
  int fd = open(file, O_RDONLY);
  long total = 0, got = fd < 0 ? -1 : 0;
  while (fd >= 0 && (got = read(fd, bytes, sizeof bytes)) > 0) total += got;
  return closing(fd, got < 0 ? -1 : total);
}

static long pread_all(const char *file) {
  int fd = open(file, O_RDONLY);
  return closing(fd, pread(fd, bytes, sizeof bytes, 0));
}

int main(int count, char **word) {
  setvbuf(stdout, NULL, _IONBF, 0);
  for (int i = 1; i < count;) {
    const char *step = word[i++];
    long result;
#define IS(name, arguments) (strcmp(step, name) == 0 && i + (arguments) <= count && (i += (arguments)))
    if (IS("pwrite", 4)) result = write_at(word[i - 4], atol(word[i - 3]), word[i - 2], (size_t)atol(word[i - 1]), 0);
    else if (IS("pwritev", 4)) result = write_at(word[i - 4], atol(word[i - 3]), word[i - 2], (size_t)atol(word[i - 1]), 1);
    else if (IS("append", 3)) result = append(word[i - 3], word[i - 2], (size_t)atol(word[i - 1]));
    else if (IS("dup", 3)) result = write_dup(word[i - 3], word[i - 2], (size_t)atol(word[i - 1]));
    else if (IS("read", 1)) result = read_all(word[i - 1]);
    else if (IS("pread", 1)) result = pread_all(word[i - 1]);
    else if (IS("held", 1)) result = held(word[i - 1]);
    else if (IS("counted", 1)) result = counted(word[i - 1]);
    else if (IS("sync", 1)) result = sync_with(fsync, word[i - 1]);
    else if (IS("datasync", 1)) result = sync_with(fdatasync, word[i - 1]);
    else if (IS("cut", 2)) result = cut_to(word[i - 2], atol(word[i - 1]));
    else if (IS("empty", 1)) result = closing(open(word[i - 1], O_WRONLY | O_TRUNC), 0);
    else if (IS("rename", 2)) result = rename(word[i - 2], word[i - 1]);
    else if (IS("unlink", 1)) result = unlink(word[i - 1]);
    else if (IS("mkdir", 1)) result = mkdir(word[i - 1], 0700);
    else {
      fprintf(stderr, "not a step: %s\n", step);
      return 2;
    }
    if (result < 0) printf("%s\n", strerrorname_np(errno));
    else printf("%ld\n", result);
  }
  return 0;
}
