/*
 * A disk that fails on demand, for tests: loaded into a program with LD_PRELOAD, it stands between the program and its
 * files and knows what has been written but not synced. At a chosen moment it "cuts the power": it takes that away
 * again, whole or in part, and kills the process. It can also fail, fill up, be slow, or lie about a sync.
 *
 * Environment:
 *   DMGW_FAULT_FOLDERS  the folders that are watched, separated by ':', absolute, without symbolic links
 *   DMGW_FAULT          rules, separated by ';' (below)
 *   DMGW_FAULT_CONTROL  a FIFO, made when missing, from which more rules are read, one line each
 *   DMGW_FAULT_LOG      a file that is told what happened, one line each
 *
 * Rules; the n-th is counted from 1 over all operations that match, glob is matched against the whole path:
 *   cut OP N [GLOB]            the power goes right before the N-th such operation
 *   cut now
 *   fail ERRNO OP N[+] [GLOB]  the N-th fails (with +, each from the N-th on), without effect: EIO, ENOSPC, EROFS, EMFILE,
 *                              ENOBUFS, EPERM, ENOLCK
 *   full BYTES [GLOB]          files may grow by so many bytes in all, then ENOSPC; removing a file gives nothing back
 *   slow sync MS [GLOB]        every sync takes so much longer
 *   slow read BYTES [GLOB]     reads bring at most so many bytes per second; nothing tells of any page that it is in memory
 *   lie sync [GLOB]            a sync answers success and does nothing
 *   lie rights [GLOB]          whoever makes a file: all may do all with it, as on a file system of FAT
 *   clear                      forgets the rules above
 *   loss torn|back|all|none    what a cut takes of unsynced data: each block by chance (default); what stands first in a
 *                              file, as a disk does that writes from the back; all; nothing
 *   names ordered|strict|kept  which unsynced names a cut takes back: a file system with a journal keeps the first
 *                              ones of a sequence (default); POSIX promises nothing about their order; none
 *   seed N                     of chance
 * OP is read, write (also truncation), sync (of a file or a folder), name (making, renaming, removing), rights (of a
 * file: chmod), lock (fcntl) or send: the network is no disk, but fails in the same way; a datagram to an IP address by
 * sendmsg, with `udp` as its path.
 *
 * Model. Data is durable when an fsync or fdatasync that began after the write has returned 0. A name is durable when
 * its folder has been synced after that; the sync of a file says nothing about its name. Data that is not durable is
 * lost per 512 bytes or per 4 KiB, so that writes are torn and reordered; what a file had grown by may be there as
 * zeros. What a failed sync should have written is lost for good, as Linux does it, even when a later sync succeeds; every descriptor
 * that the file has then is told once.
 * While it is watched nothing is really synced: no real power is lost.
 *
 * sendfile(2) from a file is neither slowed nor failed: who uses it asks mincore(2) or cachestat(2) before.
 *
 * Not covered, and said in the log when it happens in a watched folder: shared writable mappings (SQLite has none with
 * locking_mode=EXCLUSIVE), fallocate, copy_file_range, sendfile into a file, links, exchanged names, renamed or
 * removed folders. Not covered and not seen: io_uring (set UV_USE_IO_URING=0), system calls made without the C
 * library, its own FILE streams, O_TMPFILE, owners and times, other processes that change watched files.
 *
 * System calls are made directly and not through the next library, so that nothing has to be looked up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8 && sizeof(void *) == 8, "off_t and off64_t are taken for the same");

#define BLOCK 512
#define BLOCKS_OF_PAGE 8
#define MAX_FOLDERS 8
#define MAX_RULES 32
#define BUCKETS 1024
#define MAX_FDS 65536

/* ---- Under one lock: a cut sees every operation either done or not begun. ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Set once, by the constructor: until then every call goes straight through. */
static atomic_bool watching;
static atomic_bool reads_matter;

static char folders[MAX_FOLDERS][PATH_MAX];
static int folder_count;
/* Where the content of removed and replaced files is kept until their removal is durable. */
static char side_folder[PATH_MAX];
static long kept_count;
static int log_fd = -1;

static void say(const char *format, ...) {
  char line[PATH_MAX + 256];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  if (log_fd < 0 || length < 0) return;
  if ((size_t)length > sizeof line - 2) length = (int)sizeof line - 2;
  line[length] = '\n';
  (void)!syscall(SYS_write, log_fd, line, (size_t)length + 1);
}

/* A mistake in how the shim is used, or in itself: a test must not go on as if nothing were. */
static _Noreturn void give_up(const char *what, const char *detail) {
  fprintf(stderr, "fault shim: %s: %s\n", what, detail);
  say("error %s: %s", what, detail);
  abort();
}

static void *need(void *memory) {
  if (memory == NULL) give_up("memory", "none left");
  return memory;
}

static uint64_t chance_state = 88172645463325252ULL;

/* xorshift64: the same seed gives the same loss. @returns 0 .. below-1 */
static uint64_t chance(uint64_t below) {
  chance_state ^= chance_state << 13;
  chance_state ^= chance_state >> 7;
  chance_state ^= chance_state << 17;
  return (chance_state >> 11) % below;
}

/* ---- Paths ---- */

/* Makes a path absolute and takes out "//", "." and ".."; symbolic links stay. @returns false when it cannot */
static bool absolute(int folder, const char *path, char out[PATH_MAX]) {
  char raw[2 * PATH_MAX] = "";
  if (path == NULL) return false;
  if (path[0] != '/') {
    if (folder == AT_FDCWD) {
      if (getcwd(raw, PATH_MAX) == NULL) return false;
    } else {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
      ssize_t length = readlink(link, raw, PATH_MAX - 1);
      if (length < 0) return false;
      raw[length] = '\0';
    }
    strcat(raw, "/");
  }
  if (strlen(path) >= PATH_MAX) return false;
  strcat(raw, path);
  size_t used = 0;
  for (char *state = NULL, *part = strtok_r(raw, "/", &state); part; part = strtok_r(NULL, "/", &state)) {
    if (strcmp(part, ".") == 0) continue;
    if (strcmp(part, "..") == 0) {
      while (used > 0 && out[--used] != '/') continue;
      continue;
    }
    size_t length = strlen(part);
    if (used + length + 2 > PATH_MAX) return false;
    out[used++] = '/';
    memcpy(out + used, part, length);
    used += length;
  }
  if (used == 0) out[used++] = '/';
  out[used] = '\0';
  return true;
}

static bool is_inside(const char *path, const char *folder) {
  size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && path[length] == '/';
}

/* Is it a watched folder or something in one? Fills `out` with the absolute path. */
static bool is_watched(int folder, const char *path, char out[PATH_MAX]) {
  if (!atomic_load(&watching) || !absolute(folder, path, out)) return false;
  for (int i = 0; i < folder_count; i += 1) {
    if (strcmp(out, folders[i]) == 0 || is_inside(out, folders[i])) return true;
  }
  return false;
}

static bool is_in_folder(const char *path, const char *folder) {
  const char *slash = path == NULL ? NULL : strrchr(path, '/');
  return slash != NULL && strlen(folder) == (size_t)(slash - path) && strncmp(path, folder, (size_t)(slash - path)) == 0;
}

/* ---- Data that is not durable ---- */

/* Stands for the content of a block that the file did not reach. */
static unsigned char nothing[BLOCK];

/*
 * What was changed between two syncs of a file, as what was there before. Syncs that run keep their changes apart from
 * those that come after they began, hence a list.
 */
struct change {
  /* Per block of the file: NULL when untouched. */
  unsigned char **before;
  size_t blocks;
  off_t size_before;
  /* The smallest size that the file was cut to, or size_before. */
  off_t cut_to;
  uint64_t number;
  /* A sync of it has failed: its blocks will not reach the disk. */
  bool doomed;
  struct change *older;
};

struct file {
  dev_t device;
  ino_t inode;
  bool is_folder;
  /* Our own descriptor of a file: as long as it is open its inode is not used for another file. */
  int fd;
  char *path;
  struct change *newest;
  /* When a sync of it failed last, and with what; 0: never. */
  uint64_t failed_at;
  int error;
  struct file *next;
  /* In the order in which they were first opened, so that the same seed means the same loss. */
  struct file *earlier, *later;
};

static struct file *files[BUCKETS];
static struct file *first_file, *last_file;
static uint64_t next_number = 1;

/* Per descriptor: when it was opened, or told of a failure. What is copied by dup is told once more. */
static uint64_t told_at[MAX_FDS];

static struct file **bucket_of(ino_t inode) { return &files[inode % BUCKETS]; }

static struct file *find_inode(const struct stat *status) {
  for (struct file *file = *bucket_of(status->st_ino); file; file = file->next) {
    if (file->inode == status->st_ino && file->device == status->st_dev) return file;
  }
  return NULL;
}

static struct file *find(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 ? find_inode(&status) : NULL;
}

static void forget_change(struct change *change) {
  for (size_t i = 0; i < change->blocks; i += 1) {
    if (change->before[i] != nothing) free(change->before[i]);
  }
  free(change->before);
  free(change);
}

/* Begins to watch what an open descriptor stands for. */
static struct file *watch(int fd, const char *path) {
  struct stat status;
  if (fstat(fd, &status) != 0 || !(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))) return NULL;
  struct file *file = find_inode(&status);
  if (file) {
    if (file->is_folder && strcmp(file->path, path) != 0) {
      free(file->path);
      file->path = need(strdup(path));
    }
    return file;
  }
  file = need(calloc(1, sizeof *file));
  file->device = status.st_dev;
  file->inode = status.st_ino;
  file->is_folder = S_ISDIR(status.st_mode);
  file->path = need(strdup(path));
  file->fd = -1;
  if (!file->is_folder) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    file->fd = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
    if (file->fd < 0) file->fd = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
    if (file->fd < 0) give_up("cannot open a watched file", path);
  }
  struct file **bucket = bucket_of(file->inode);
  file->next = *bucket;
  *bucket = file;
  file->earlier = last_file;
  *(last_file ? &last_file->later : &first_file) = file;
  last_file = file;
  return file;
}

static void unwatch(struct file *gone) {
  struct file **link = bucket_of(gone->inode);
  while (*link != gone) link = &(*link)->next;
  *link = gone->next;
  *(gone->earlier ? &gone->earlier->later : &first_file) = gone->later;
  *(gone->later ? &gone->later->earlier : &last_file) = gone->earlier;
  while (gone->newest) {
    struct change *older = gone->newest->older;
    forget_change(gone->newest);
    gone->newest = older;
  }
  if (gone->fd >= 0) syscall(SYS_close, gone->fd);
  free(gone->path);
  free(gone);
}

static off_t size_of(const struct file *file) {
  struct stat status;
  if (fstat(file->fd, &status) != 0) give_up("cannot stat", file->path);
  return status.st_size;
}

static struct change *begin_change(struct file *file) {
  struct change *change = need(calloc(1, sizeof *change));
  change->size_before = change->cut_to = size_of(file);
  change->number = next_number++;
  change->older = file->newest;
  file->newest = change;
  return change;
}

/* Keeps what is there between two offsets, before it is overwritten or cut off. */
static void remember(struct file *file, off_t from, off_t to) {
  struct change *change = file->newest && !file->newest->doomed ? file->newest : begin_change(file);
  if (to <= from) return;
  size_t last = (size_t)((to - 1) / BLOCK);
  if (last >= change->blocks) {
    size_t blocks = last + 1 + last / 2;
    change->before = need(realloc(change->before, blocks * sizeof *change->before));
    memset(change->before + change->blocks, 0, (blocks - change->blocks) * sizeof *change->before);
    change->blocks = blocks;
  }
  off_t size = size_of(file);
  for (size_t i = (size_t)(from / BLOCK); i <= last; i += 1) {
    if (change->before[i]) continue;
    if ((off_t)i * BLOCK >= size) {
      change->before[i] = nothing;
    } else {
      change->before[i] = need(calloc(1, BLOCK));
      (void)!syscall(SYS_pread64, file->fd, change->before[i], (size_t)BLOCK, (off_t)i * BLOCK);
    }
  }
}

static void remember_size(struct file *file, off_t to) {
  off_t size = size_of(file);
  remember(file, to < size ? to : size, to < size ? size : to);
  if (to < file->newest->cut_to) file->newest->cut_to = to;
}

/* A sync begins. @returns the number up to which its success will make changes durable */
static uint64_t begin_sync(struct file *file) {
  uint64_t number = file->newest ? file->newest->number : 0;
  if (file->newest) begin_change(file);
  return number;
}

/* What has become durable over what a failed sync lost is there. */
static void mend(struct change *doomed, const struct change *durable) {
  size_t blocks = doomed->blocks < durable->blocks ? doomed->blocks : durable->blocks;
  for (size_t i = 0; i < blocks; i += 1) {
    if (durable->before[i] == NULL || doomed->before[i] == NULL) continue;
    if (doomed->before[i] != nothing) free(doomed->before[i]);
    doomed->before[i] = NULL;
  }
}

static void end_sync(struct file *file, uint64_t number) {
  struct change **link = &file->newest;
  while (*link) {
    struct change *change = *link;
    if (change->number > number || change->doomed) {
      link = &change->older;
      continue;
    }
    for (struct change *older = change->older; older; older = older->older) {
      if (older->doomed) mend(older, change);
    }
    /* Sizes are durable with it: no older change may take the file back to a size before. */
    for (struct change *older = change->older; older; older = older->older) older->size_before = -1;
    *link = change->older;
    forget_change(change);
  }
}

static void fail_sync(struct file *file, int error) {
  file->failed_at = next_number++;
  file->error = error;
  for (struct change *change = file->newest; change; change = change->older) change->doomed = true;
}

/* ---- Names that are not durable ---- */

struct name {
  enum { MADE, FOLDER_MADE, RENAMED, REMOVED } kind;
  char *path;
  /* RENAMED: the new name. */
  char *to;
  /* In the side folder: what had the name before. NULL when nothing had it. */
  char *kept;
  bool durable, survives;
  uint64_t number;
  struct name *older, *newer;
};

static struct name *oldest_name, *newest_name;
static bool strict_names, keep_names;

/* Must `later` be undone when `earlier` is? */
static bool depends(const struct name *later, const struct name *earlier) {
  if (!strict_names) return true;
  const char *a[] = {later->path, later->to}, *b[] = {earlier->path, earlier->to};
  for (int i = 0; i < 2; i += 1) {
    for (int j = 0; j < 2; j += 1) {
      if (a[i] && b[j] && strcmp(a[i], b[j]) == 0) return true;
    }
  }
  return false;
}

static char *new_kept_path(void) {
  char path[PATH_MAX + 32];
  snprintf(path, sizeof path, "%s/%ld", side_folder, ++kept_count);
  return need(strdup(path));
}

/* Gives a file a second name in the side folder. @returns NULL when there is no such file */
static char *keep(const char *path) {
  struct stat status;
  if (lstat(path, &status) != 0) return NULL;
  char *kept = new_kept_path();
  if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept, 0) == 0) return kept;
  give_up("cannot keep a file that is to be removed", path);
}

static void remove_kept(const char *kept) {
  struct stat status;
  if (lstat(kept, &status) != 0) return;
  struct file *file = status.st_nlink == 1 ? find_inode(&status) : NULL;
  if (file) unwatch(file);
  syscall(SYS_unlinkat, AT_FDCWD, kept, 0);
}

static void note_name(int kind, const char *path, const char *to, char *kept) {
  struct name *name = need(calloc(1, sizeof *name));
  name->kind = kind;
  name->path = need(strdup(path));
  name->to = to ? need(strdup(to)) : NULL;
  name->kept = kept;
  name->number = next_number++;
  name->older = newest_name;
  *(newest_name ? &newest_name->newer : &oldest_name) = name;
  newest_name = name;
}

static void forget_name(struct name *name) {
  *(name->older ? &name->older->newer : &oldest_name) = name->newer;
  *(name->newer ? &name->newer->older : &newest_name) = name->older;
  if (name->kept) remove_kept(name->kept);
  free(name->kept);
  free(name->path);
  free(name->to);
  free(name);
}

/* A folder has been synced: its names up to `number` are durable, and with them what they rest on. */
static void end_folder_sync(const char *folder, uint64_t number) {
  for (struct name *name = newest_name; name; name = name->older) {
    if (name->number > number) continue;
    if (is_in_folder(name->path, folder) || is_in_folder(name->to, folder)) name->durable = true;
    if (!name->durable) continue;
    for (struct name *older = name->older; older; older = older->older) {
      if (depends(name, older)) older->durable = true;
    }
  }
  for (struct name *name = oldest_name, *newer; name; name = newer) {
    newer = name->newer;
    if (name->durable) forget_name(name);
  }
}

/* ---- The cut ---- */

static enum { TORN, BACK, ALL, NONE } loss = TORN;

struct tally {
  long files, blocks_lost, blocks_kept, names_lost, names_kept;
};

/* Writes the state of a block before a change; of what the change cut off only when that is undone too. */
static void restore(const struct file *file, const struct change *change, size_t index, bool cut_stays) {
  unsigned char content[BLOCK];
  off_t offset = (off_t)index * BLOCK;
  memcpy(content, change->before[index], BLOCK);
  if (cut_stays && change->cut_to < offset + BLOCK) {
    off_t from = change->cut_to > offset ? change->cut_to - offset : 0;
    memset(content + from, 0, (size_t)(BLOCK - from));
  }
  (void)!syscall(SYS_pwrite64, file->fd, content, (size_t)BLOCK, offset);
}

/* @returns a block among those that have changed, or the one behind them: those before it are lost */
static size_t first_kept(const struct file *file) {
  size_t least = SIZE_MAX, most = 0;
  for (struct change *change = file->newest; change; change = change->older) {
    for (size_t i = 0; i < change->blocks; i += 1) {
      if (change->before[i] == NULL) continue;
      if (i < least) least = i;
      if (i > most) most = i;
    }
  }
  return least == SIZE_MAX ? 0 : least + chance(most - least + 2);
}

static void lose_data(const struct file *file, struct tally *tally) {
  static const int odds[] = {0, 1, 4, 7, 8};
  /* Luck differs from file to file: a database may be there whole and its journal not at all. */
  int kept_of_8 = loss == ALL ? 0 : loss == BACK ? 8 : odds[chance(sizeof odds / sizeof *odds)];
  size_t kept_from = loss == BACK ? first_kept(file) : 0;
  size_t unit = chance(2) ? 1 : BLOCKS_OF_PAGE;
  off_t size = size_of(file);
  bool size_decided = false;
  for (struct change *change = file->newest; change; change = change->older) {
    bool was_cut = change->size_before >= 0 && change->cut_to < change->size_before;
    bool cut_stays = !was_cut || size_decided || (int)chance(8) < kept_of_8;
    bool keep_unit = false;
    for (size_t i = 0; i < change->blocks; i += 1) {
      if (i % unit == 0) keep_unit = (int)chance(8) < kept_of_8;
      if (change->before[i] == NULL) continue;
      bool is_first = loss == BACK && i < kept_from;
      bool undone_with_cut = !cut_stays && (off_t)(i + 1) * BLOCK > change->cut_to;
      if (keep_unit && !is_first && !undone_with_cut && !change->doomed) {
        tally->blocks_kept += 1;
        continue;
      }
      restore(file, change, i, was_cut && cut_stays);
      tally->blocks_lost += 1;
    }
    if (size_decided || change->size_before < 0) continue;
    off_t least = cut_stays && was_cut ? change->cut_to : change->size_before;
    if (!cut_stays) {
      size = change->size_before;
    } else if (size > least || was_cut) {
      /* Grown: by all of it, by nothing, or by some blocks. */
      uint64_t grown = size > least ? (uint64_t)(size - least) : 0;
      if ((int)chance(8) < kept_of_8) {
        size_decided = true;
        if (chance(3) == 0 && grown > BLOCK) size = least + (off_t)(chance(grown / BLOCK) + 1) * BLOCK;
      } else {
        size = least;
        size_decided = was_cut;
      }
    }
  }
  syscall(SYS_ftruncate, file->fd, size);
  tally->files += 1;
}

static void remove_tree(const char *path) {
  if (syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR) == 0 || errno == ENOENT) return;
  /* In strict mode names may be durable in a folder that is not: they go with it. */
  char trash[PATH_MAX + 32];
  snprintf(trash, sizeof trash, "%s/%ld", side_folder, ++kept_count);
  if (syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, trash, 0) != 0) give_up("cannot undo a folder", path);
}

static void undo_name(const struct name *name) {
  switch (name->kind) {
    case MADE:
      syscall(SYS_unlinkat, AT_FDCWD, name->path, 0);
      return;
    case FOLDER_MADE:
      remove_tree(name->path);
      return;
    case RENAMED:
      syscall(SYS_renameat2, AT_FDCWD, name->to, AT_FDCWD, name->path, 0);
      if (name->kept) syscall(SYS_renameat2, AT_FDCWD, name->kept, AT_FDCWD, name->to, 0);
      return;
    case REMOVED:
      syscall(SYS_renameat2, AT_FDCWD, name->kept, AT_FDCWD, name->path, 0);
      return;
  }
}

static void lose_names(struct tally *tally) {
  uint64_t count = 0;
  for (struct name *name = oldest_name; name; name = name->newer) count += 1;
  uint64_t first_lost = loss == ALL ? 0 : chance(count + 1);
  uint64_t index = 0;
  for (struct name *name = oldest_name; name; name = name->newer, index += 1) {
    name->survives = keep_names ? true : strict_names ? loss != ALL && chance(2) == 0 : index < first_lost;
    for (struct name *older = name->older; older && name->survives; older = older->older) {
      if (!older->survives && depends(name, older)) name->survives = false;
    }
  }
  for (struct name *name = newest_name; name; name = name->older) {
    if (name->survives) {
      tally->names_kept += 1;
      continue;
    }
    undo_name(name);
    tally->names_lost += 1;
  }
}

static void empty_side_folder(void) {
  for (struct name *name = oldest_name; name; name = name->newer) {
    if (name->kept) syscall(SYS_unlinkat, AT_FDCWD, name->kept, 0);
  }
  syscall(SYS_unlinkat, AT_FDCWD, side_folder, AT_REMOVEDIR);
}

/* With the lock held. */
static _Noreturn void cut(const char *why, const char *path) {
  struct tally tally = {0};
  if (loss != NONE) {
    for (struct file *file = first_file; file; file = file->later) {
      if (file->newest) lose_data(file, &tally);
    }
    lose_names(&tally);
  }
  empty_side_folder();
  say("cut %s %s: %ld files, %ld blocks lost, %ld kept; names: %ld lost, %ld kept", why, path, tally.files,
      tally.blocks_lost, tally.blocks_kept, tally.names_lost, tally.names_kept);
  for (;;) kill(getpid(), SIGKILL);
}

/* ---- Rules ---- */

enum op { READ, WRITE, SYNC, NAME, RIGHTS, LOCK, SEND, OPS };
static const char *const op_words[OPS] = {"read", "write", "sync", "name", "rights", "lock", "send"};

struct rule {
  enum { CUT, FAIL, FULL, SLOW, LIE } action;
  enum op op;
  char glob[PATH_MAX];
  long n;
  bool onwards;
  int error;
  /* FULL: bytes that are left. SLOW: ms, or bytes per second. */
  long value;
  long seen;
};

static struct rule rules[MAX_RULES];
static int rule_count;

struct verdict {
  int error;
  bool lie;
  long delay_ms, bytes_per_second;
};

static bool matches(const struct rule *rule, enum op op, const char *path) {
  return rule->op == op && path != NULL && fnmatch(rule->glob, path, 0) == 0;
}

/* What happens to an operation; does not return when the power goes. With the lock held. */
static struct verdict judge(enum op op, const char *path, const char *other_path) {
  struct verdict verdict = {0};
  for (int i = 0; i < rule_count; i += 1) {
    struct rule *rule = &rules[i];
    if (rule->action == FULL || !(matches(rule, op, path) || matches(rule, op, other_path))) continue;
    rule->seen += 1;
    bool hit = rule->seen == rule->n || (rule->onwards && rule->seen > rule->n);
    if (rule->action == CUT && hit) cut(op_words[op], path);
    if (rule->action == FAIL && hit) {
      verdict.error = rule->error;
      say("fail %s %s", op_words[op], path);
    }
    if (rule->action == LIE) verdict.lie = true;
    if (rule->action == SLOW && op == SYNC) verdict.delay_ms += rule->value;
    if (rule->action == SLOW && op == READ) verdict.bytes_per_second = rule->value;
  }
  return verdict;
}

/* How many of the bytes by which a write makes a file grow fit on the disk. With the lock held. */
static off_t take_room(const char *path, off_t wanted) {
  off_t granted = wanted;
  for (int i = 0; i < rule_count; i += 1) {
    struct rule *rule = &rules[i];
    if (rule->action != FULL || fnmatch(rule->glob, path, 0) != 0) continue;
    if (rule->value < granted) {
      granted = rule->value;
      say("full %s", path);
    }
    rule->value -= granted;
  }
  return granted;
}

static long number_of(const char *word) {
  char *end = NULL;
  long number = word ? strtol(word, &end, 10) : -1;
  if (word == NULL || end == word || number < 0) give_up("a rule needs a number", word ? word : "nothing");
  return number;
}

static enum op op_of(const char *word) {
  for (int op = 0; word && op < OPS; op += 1) {
    if (strcmp(op_words[op], word) == 0) return (enum op)op;
  }
  give_up("not an operation", word ? word : "nothing");
}

static int errno_of(const char *word) {
  static const struct { const char *word; int error; } known[] = {
      {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"EMFILE", EMFILE},
      {"ENOBUFS", ENOBUFS}, {"EPERM", EPERM}, {"ENOLCK", ENOLCK}};
  for (size_t i = 0; word && i < sizeof known / sizeof known[0]; i += 1) {
    if (strcmp(known[i].word, word) == 0) return known[i].error;
  }
  give_up("not an error that there is here", word ? word : "nothing");
}

static void take_counted(struct rule *rule, char **state) {
  rule->op = op_of(strtok_r(NULL, " ", state));
  const char *count = strtok_r(NULL, " ", state);
  rule->n = number_of(count);
  rule->onwards = strchr(count, '+') != NULL;
}

/* With the lock held. */
static void take_rule(char *text) {
  char *state = NULL;
  const char *word = strtok_r(text, " ", &state);
  if (word == NULL) return;
  struct rule rule = {.glob = "*"};
  if (strcmp(word, "clear") == 0) {
    rule_count = 0;
    atomic_store(&reads_matter, false);
    return;
  }
  if (strcmp(word, "seed") == 0) {
    chance_state = (uint64_t)number_of(strtok_r(NULL, " ", &state)) * 0x9E3779B97F4A7C15ULL + 1;
    for (int i = 0; i < 8; i += 1) chance(2);
    return;
  }
  if (strcmp(word, "loss") == 0) {
    const char *how = strtok_r(NULL, " ", &state);
    if (how == NULL) give_up("a rule lacks its word", "loss");
    loss = strcmp(how, "all") == 0 ? ALL : strcmp(how, "none") == 0 ? NONE : strcmp(how, "back") == 0 ? BACK : TORN;
    return;
  }
  if (strcmp(word, "names") == 0) {
    const char *how = strtok_r(NULL, " ", &state);
    if (how == NULL) give_up("a rule lacks its word", "names");
    strict_names = strcmp(how, "strict") == 0;
    keep_names = strcmp(how, "kept") == 0;
    return;
  }
  if (strcmp(word, "cut") == 0) {
    if (state && strcmp(state, "now") == 0) cut("now", "");
    rule.action = CUT;
    take_counted(&rule, &state);
  } else if (strcmp(word, "fail") == 0) {
    const char *error = strtok_r(NULL, " ", &state);
    rule.action = FAIL;
    rule.error = errno_of(error);
    take_counted(&rule, &state);
  } else if (strcmp(word, "full") == 0) {
    rule.action = FULL;
    rule.value = number_of(strtok_r(NULL, " ", &state));
  } else if (strcmp(word, "slow") == 0) {
    rule.action = SLOW;
    rule.op = op_of(strtok_r(NULL, " ", &state));
    rule.value = number_of(strtok_r(NULL, " ", &state));
  } else if (strcmp(word, "lie") == 0) {
    rule.action = LIE;
    rule.op = op_of(strtok_r(NULL, " ", &state));
  } else {
    give_up("not a rule", word);
  }
  const char *glob = strtok_r(NULL, " ", &state);
  if (glob) snprintf(rule.glob, sizeof rule.glob, "%s", glob);
  if (rule_count == MAX_RULES) give_up("too many rules", word);
  rules[rule_count++] = rule;
  if (rule.op == READ && rule.action != FULL) atomic_store(&reads_matter, true);
}

static void take_rules(char *text) {
  char *state = NULL;
  for (char *rule = strtok_r(text, ";\n", &state); rule; rule = strtok_r(NULL, ";\n", &state)) take_rule(rule);
}

/* Reads rules from the FIFO as long as the process lives. */
static void *take_orders(void *path) {
  /* Read and write: opening does not wait for a writer, and the end of one is not the end of the FIFO. */
  int fd = (int)syscall(SYS_openat, AT_FDCWD, (char *)path, O_RDWR | O_CLOEXEC, 0);
  char line[PATH_MAX];
  size_t used = 0;
  say("ready");
  while (fd >= 0 && used < sizeof line - 1) {
    ssize_t got = syscall(SYS_read, fd, line + used, (size_t)1);
    if (got < 1) break;
    if (line[used] != '\n') {
      used += 1;
      continue;
    }
    line[used] = '\0';
    used = 0;
    char told[PATH_MAX];
    snprintf(told, sizeof told, "%s", line);
    pthread_mutex_lock(&lock);
    take_rules(line);
    pthread_mutex_unlock(&lock);
    say("did %s", told);
  }
  return NULL;
}

__attribute__((constructor)) static void begin(void) {
  const char *wanted = getenv("DMGW_FAULT_FOLDERS"), *text = getenv("DMGW_FAULT");
  const char *control = getenv("DMGW_FAULT_CONTROL"), *log = getenv("DMGW_FAULT_LOG");
  if (wanted == NULL || *wanted == '\0') return;
  char list[MAX_FOLDERS * PATH_MAX];
  snprintf(list, sizeof list, "%s", wanted);
  char *state = NULL;
  for (char *part = strtok_r(list, ":", &state); part && folder_count < MAX_FOLDERS; part = strtok_r(NULL, ":", &state)) {
    if (!absolute(AT_FDCWD, part, folders[folder_count++])) give_up("not a folder", part);
  }
  if (log) log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (snprintf(side_folder, sizeof side_folder, "%s.unsynced", folders[0]) >= (int)sizeof side_folder) {
    give_up("too long", folders[0]);
  }
  if (syscall(SYS_mkdirat, AT_FDCWD, side_folder, 0700) != 0 && errno != EEXIST) give_up("cannot make", side_folder);
  if (text) {
    char *copy = need(strdup(text));
    take_rules(copy);
    free(copy);
  }
  atomic_store(&watching, true);
  if (control == NULL) return;
  if (mkfifo(control, 0600) != 0 && errno != EEXIST) give_up("cannot make the FIFO", control);
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_t thread;
  if (pthread_create(&thread, NULL, take_orders, need(strdup(control))) != 0) give_up("no thread", control);
  pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* The program ends by itself: what it wrote stays, as the system would write it sooner or later. */
__attribute__((destructor)) static void end(void) {
  if (atomic_load(&watching)) empty_side_folder();
}

/* ---- The calls ---- */

static int failed(int error) {
  errno = error;
  return -1;
}

static void pause_ns(int64_t ns) {
  struct timespec rest = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
  while (nanosleep(&rest, &rest) != 0 && errno == EINTR) continue;
}

static void not_covered(const char *what, int fd) {
  if (!atomic_load(&watching)) return;
  pthread_mutex_lock(&lock);
  struct file *file = find(fd);
  if (file && !file->is_folder) say("not covered: %s %s", what, file->path);
  pthread_mutex_unlock(&lock);
}

/* Before the rules that make it fail are asked: those count the calls of chmod alone. */
static bool has_no_rights(const char *path) {
  for (int i = 0; i < rule_count; i += 1) {
    if (rules[i].action == LIE && matches(&rules[i], RIGHTS, path)) return true;
  }
  return false;
}

static int open_at(int folder, const char *path, int flags, mode_t mode) {
  char full[PATH_MAX];
  if (!is_watched(folder, path, full)) return (int)syscall(SYS_openat, folder, path, flags, mode);
  pthread_mutex_lock(&lock);
  struct stat status;
  bool existed = lstat(full, &status) == 0;
  if (existed && S_ISREG(status.st_mode) && (flags & O_TRUNC)) {
    struct verdict verdict = judge(WRITE, full, NULL);
    if (verdict.error) {
      pthread_mutex_unlock(&lock);
      return failed(verdict.error);
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, full, O_RDWR | O_CLOEXEC, 0);
    struct file *file = fd < 0 ? NULL : watch(fd, full);
    if (file) remember_size(file, 0);
    if (fd >= 0) syscall(SYS_close, fd);
  } else if (!existed && (flags & O_CREAT)) {
    struct verdict verdict = judge(NAME, full, NULL);
    if (verdict.error) {
      pthread_mutex_unlock(&lock);
      return failed(verdict.error);
    }
  }
  int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
  int error = errno;
  if (fd >= 0) {
    if (!existed) note_name(MADE, full, NULL, NULL);
    struct file *file = watch(fd, full);
    if (file && !existed && has_no_rights(full)) syscall(SYS_fchmod, fd, 0777);
    if (fd < MAX_FDS) told_at[fd] = next_number++;
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return fd;
}

static mode_t mode_of(int flags, va_list arguments) {
  return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_at(folder, path, flags, mode);
}

int creat(const char *path, mode_t mode) { return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* What _FORTIFY_SOURCE makes of an open without a mode. */
int __open_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __openat_2(int folder, const char *path, int flags) { return open_at(folder, path, flags, 0); }

/* @param offset where to write; -1: at the descriptor's own position */
static ssize_t write_vector(int fd, const struct iovec *vector, int count, off_t offset) {
  if (offset < 0) return syscall(SYS_writev, fd, vector, count);
  return syscall(SYS_pwritev, fd, vector, (unsigned long)count, (unsigned long)offset, 0UL);
}

static ssize_t write_at(int fd, const struct iovec *vector, int count, off_t offset) {
  struct stat status;
  if (!atomic_load(&watching) || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    return write_vector(fd, vector, count, offset);
  }
  pthread_mutex_lock(&lock);
  struct file *file = find_inode(&status);
  if (file == NULL) {
    pthread_mutex_unlock(&lock);
    return write_vector(fd, vector, count, offset);
  }
  off_t length = 0;
  for (int i = 0; i < count; i += 1) length += (off_t)vector[i].iov_len;
  struct verdict verdict = judge(WRITE, file->path, NULL);
  off_t size = size_of(file);
  off_t from = offset >= 0 ? offset : fcntl(fd, F_GETFL) & O_APPEND ? size : (off_t)syscall(SYS_lseek, fd, 0L, SEEK_CUR);
  off_t growth = from + length > size ? from + length - size : 0;
  off_t granted = verdict.error || growth == 0 ? growth : take_room(file->path, growth);
  if (!verdict.error && granted < growth && length - (growth - granted) <= 0) verdict.error = ENOSPC;
  if (verdict.error) {
    pthread_mutex_unlock(&lock);
    return failed(verdict.error);
  }
  remember(file, from, from + length);
  ssize_t written;
  if (granted == growth) {
    written = write_vector(fd, vector, count, offset);
  } else {
    /* The last bytes that fit: of the first part only, which is a short write that the standard allows. */
    struct iovec first = {vector[0].iov_base, vector[0].iov_len};
    off_t fits = length - (growth - granted);
    if ((off_t)first.iov_len > fits) first.iov_len = (size_t)fits;
    written = write_vector(fd, &first, 1, offset);
  }
  int error = errno;
  pthread_mutex_unlock(&lock);
  errno = error;
  return written;
}

ssize_t write(int fd, const void *bytes, size_t count) {
  struct iovec vector = {(void *)bytes, count};
  struct stat status;
  if (!atomic_load(&watching) || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    return syscall(SYS_write, fd, bytes, count);
  }
  return write_at(fd, &vector, 1, -1);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  struct iovec vector = {(void *)bytes, count};
  if (!atomic_load(&watching) || offset < 0) return syscall(SYS_pwrite64, fd, bytes, count, offset);
  return write_at(fd, &vector, 1, offset);
}

ssize_t writev(int fd, const struct iovec *vector, int count) { return write_at(fd, vector, count, -1); }

ssize_t pwritev(int fd, const struct iovec *vector, int count, off_t offset) {
  return offset < 0 ? failed(EINVAL) : write_at(fd, vector, count, offset);
}

/* @returns bytes per second at which reads of this file may come, 0 for no limit; -1 with errno: the read fails */
static long before_read(int fd) {
  struct stat status;
  if (!atomic_load(&reads_matter) || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
  pthread_mutex_lock(&lock);
  struct file *file = find_inode(&status);
  struct verdict verdict = {0};
  if (file) verdict = judge(READ, file->path, NULL);
  pthread_mutex_unlock(&lock);
  return verdict.error ? failed(verdict.error) : verdict.bytes_per_second;
}

static ssize_t after_read(ssize_t got, long bytes_per_second) {
  int error = errno;
  if (got > 0 && bytes_per_second > 0) pause_ns((int64_t)got * 1000000000 / bytes_per_second);
  errno = error;
  return got;
}

ssize_t read(int fd, void *bytes, size_t count) {
  long rate = before_read(fd);
  return rate < 0 ? -1 : after_read(syscall(SYS_read, fd, bytes, count), rate);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t offset) {
  long rate = before_read(fd);
  return rate < 0 ? -1 : after_read(syscall(SYS_pread64, fd, bytes, count, offset), rate);
}

ssize_t readv(int fd, const struct iovec *vector, int count) {
  long rate = before_read(fd);
  return rate < 0 ? -1 : after_read(syscall(SYS_readv, fd, vector, count), rate);
}

ssize_t preadv(int fd, const struct iovec *vector, int count, off_t offset) {
  long rate = before_read(fd);
  if (rate < 0) return -1;
  return after_read(syscall(SYS_preadv, fd, vector, (unsigned long)count, (unsigned long)offset, 0UL), rate);
}

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/*
 * What is read slowly, or fails to be read, is on the disk and not in memory: of these two, one finds nothing and the other
 * is not there. The latter has no function of its own in the C library. All of this file's system calls go this way, too.
 */
long syscall(long number, ...) {
  va_list list;
  long word[6], result;
  va_start(list, number);
  for (int i = 0; i < 6; i++) word[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_cachestat && atomic_load(&reads_matter)) return failed(ENOSYS);
  register long r10 __asm__("r10") = word[3];
  register long r8 __asm__("r8") = word[4];
  register long r9 __asm__("r9") = word[5];
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(word[0]), "S"(word[1]), "d"(word[2]), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  if (result < 0 && result > -4096) return failed((int)-result);
  return result;
}

int mincore(void *address, size_t length, unsigned char *pages) {
  int result = (int)syscall(SYS_mincore, address, length, pages);
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (result == 0 && atomic_load(&reads_matter)) memset(pages, 0, (length + page - 1) / page);
  return result;
}

static int set_size(struct file *file, off_t size) {
  struct verdict verdict = judge(WRITE, file->path, NULL);
  if (verdict.error) return failed(verdict.error);
  remember_size(file, size);
  return (int)syscall(SYS_ftruncate, file->fd, size);
}

int ftruncate(int fd, off_t size) {
  if (!atomic_load(&watching)) return (int)syscall(SYS_ftruncate, fd, size);
  pthread_mutex_lock(&lock);
  struct file *file = find(fd);
  int result = file && !file->is_folder ? set_size(file, size) : (int)syscall(SYS_ftruncate, fd, size);
  int error = errno;
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int truncate(const char *path, off_t size) {
  char full[PATH_MAX];
  if (!is_watched(AT_FDCWD, path, full)) return (int)syscall(SYS_truncate, path, size);
  int fd = open_at(AT_FDCWD, full, O_WRONLY | O_CLOEXEC, 0);
  if (fd < 0) return -1;
  int result = ftruncate(fd, size);
  int error = errno;
  syscall(SYS_close, fd);
  errno = error;
  return result;
}

static int sync_at(int fd, long call) {
  if (!atomic_load(&watching)) return (int)syscall(call, fd);
  pthread_mutex_lock(&lock);
  struct file *file = find(fd);
  if (file == NULL) {
    pthread_mutex_unlock(&lock);
    return (int)syscall(call, fd);
  }
  struct verdict verdict = judge(SYNC, file->path, NULL);
  if (verdict.error && !verdict.lie && !file->is_folder) fail_sync(file, verdict.error);
  if (fd < MAX_FDS && file->failed_at > told_at[fd]) verdict.error = file->error;
  if (fd < MAX_FDS) told_at[fd] = next_number++;
  if (verdict.error || verdict.lie) {
    pthread_mutex_unlock(&lock);
    return verdict.lie ? 0 : failed(verdict.error);
  }
  uint64_t number = file->is_folder ? next_number++ : begin_sync(file);
  if (verdict.delay_ms > 0) {
    pthread_mutex_unlock(&lock);
    pause_ns((int64_t)verdict.delay_ms * 1000000);
    pthread_mutex_lock(&lock);
    file = find(fd);
  }
  if (file && file->is_folder) end_folder_sync(file->path, number);
  else if (file) end_sync(file, number);
  pthread_mutex_unlock(&lock);
  return 0;
}

int fsync(int fd) { return sync_at(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_at(fd, SYS_fdatasync); }

/* What happens to an operation that changes nothing of a file's content. @returns an error, or 0 */
static int judge_file(enum op op, int fd) {
  if (!atomic_load(&watching)) return 0;
  pthread_mutex_lock(&lock);
  struct file *file = find(fd);
  int error = file ? judge(op, file->path, NULL).error : 0;
  pthread_mutex_unlock(&lock);
  return error;
}

int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  int error = command == F_SETLK || command == F_SETLKW ? judge_file(LOCK, fd) : 0;
  return error ? failed(error) : (int)syscall(SYS_fcntl, fd, command, argument);
}

int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

int fchmod(int fd, mode_t mode) {
  int error = judge_file(RIGHTS, fd);
  return error ? failed(error) : (int)syscall(SYS_fchmod, fd, mode);
}

int chmod(const char *path, mode_t mode) {
  char full[PATH_MAX];
  int error = 0;
  if (is_watched(AT_FDCWD, path, full)) {
    pthread_mutex_lock(&lock);
    error = judge(RIGHTS, full, NULL).error;
    pthread_mutex_unlock(&lock);
  }
  return error ? failed(error) : (int)syscall(SYS_fchmodat, AT_FDCWD, path, mode);
}

static int rename_at(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  char a[PATH_MAX], b[PATH_MAX];
  bool from_watched = is_watched(from_folder, from, a), to_watched = is_watched(to_folder, to, b);
  struct stat status;
  if (!from_watched && !to_watched) return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
  if (!from_watched || !to_watched || (flags & RENAME_EXCHANGE) || (lstat(a, &status) == 0 && S_ISDIR(status.st_mode))) {
    say("not covered: rename %s %s", from, to);
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
  }
  pthread_mutex_lock(&lock);
  struct verdict verdict = judge(NAME, a, b);
  if (verdict.error) {
    pthread_mutex_unlock(&lock);
    return failed(verdict.error);
  }
  char *kept = strcmp(a, b) == 0 ? NULL : keep(b);
  int result = (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, flags);
  int error = errno;
  if (result != 0) {
    if (kept) syscall(SYS_unlinkat, AT_FDCWD, kept, 0);
    free(kept);
  } else {
    note_name(RENAMED, a, b, kept);
    struct file *file = lstat(b, &status) == 0 ? find_inode(&status) : NULL;
    if (file) {
      free(file->path);
      file->path = need(strdup(b));
    }
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int rename(const char *from, const char *to) { return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0); }

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
  return rename_at(from_folder, from, to_folder, to, 0);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  return rename_at(from_folder, from, to_folder, to, flags);
}

int unlinkat(int folder, const char *path, int flags) {
  char full[PATH_MAX];
  if (!is_watched(folder, path, full)) return (int)syscall(SYS_unlinkat, folder, path, flags);
  struct stat status;
  if ((flags & AT_REMOVEDIR) || lstat(full, &status) != 0 || S_ISDIR(status.st_mode)) {
    if (flags & AT_REMOVEDIR) say("not covered: rmdir %s", full);
    return (int)syscall(SYS_unlinkat, folder, path, flags);
  }
  pthread_mutex_lock(&lock);
  struct verdict verdict = judge(NAME, full, NULL);
  if (verdict.error) {
    pthread_mutex_unlock(&lock);
    return failed(verdict.error);
  }
  char *kept = keep(full);
  int result = (int)syscall(SYS_unlinkat, AT_FDCWD, full, 0);
  int error = errno;
  if (result == 0 && kept) {
    note_name(REMOVED, full, NULL, kept);
  } else {
    if (kept) syscall(SYS_unlinkat, AT_FDCWD, kept, 0);
    free(kept);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int folder, const char *path, mode_t mode) {
  char full[PATH_MAX];
  if (!is_watched(folder, path, full)) return (int)syscall(SYS_mkdirat, folder, path, mode);
  pthread_mutex_lock(&lock);
  struct stat status;
  struct verdict verdict = {0};
  if (lstat(full, &status) != 0) verdict = judge(NAME, full, NULL);
  int result = verdict.error ? failed(verdict.error) : (int)syscall(SYS_mkdirat, folder, path, mode);
  int error = errno;
  if (result == 0) note_name(FOLDER_MADE, full, NULL, NULL);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* ---- The network ---- */

static bool is_udp(int fd) {
  int type = 0, domain = 0;
  socklen_t length = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM &&
         getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && (domain == AF_INET || domain == AF_INET6);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  if (atomic_load(&watching) && is_udp(fd)) {
    pthread_mutex_lock(&lock);
    struct verdict verdict = judge(SEND, "udp", NULL);
    pthread_mutex_unlock(&lock);
    if (verdict.error) return failed(verdict.error);
  }
  return syscall(SYS_sendmsg, fd, message, flags);
}

/* ---- Calls that are only watched for ---- */

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_TYPE) != MAP_PRIVATE) not_covered("mmap", fd);
  return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
  not_covered("fallocate", fd);
  return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

ssize_t copy_file_range(int from, off_t *from_offset, int to, off_t *to_offset, size_t length, unsigned flags) {
  not_covered("copy_file_range", to);
  return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, length, flags);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t count) {
  not_covered("sendfile", to);
  return syscall(SYS_sendfile, to, from, offset, count);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
  char full[PATH_MAX];
  if (is_watched(to_folder, to, full)) say("not covered: link %s", full);
  return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

/* With 64-bit offsets everywhere, the names with 64 are the same functions. */
#define SAME(as) __attribute__((alias(#as)))
int open64(const char *path, int flags, ...) SAME(open);
int openat64(int folder, const char *path, int flags, ...) SAME(openat);
int creat64(const char *path, mode_t mode) SAME(creat);
int __open64_2(const char *path, int flags) SAME(__open_2);
int __openat64_2(int folder, const char *path, int flags) SAME(__openat_2);
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) SAME(pwrite);
ssize_t pwritev64(int fd, const struct iovec *vector, int count, off64_t offset) SAME(pwritev);
ssize_t pread64(int fd, void *bytes, size_t count, off64_t offset) SAME(pread);
ssize_t preadv64(int fd, const struct iovec *vector, int count, off64_t offset) SAME(preadv);
int ftruncate64(int fd, off64_t size) SAME(ftruncate);
int truncate64(const char *path, off64_t size) SAME(truncate);
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) SAME(mmap);
int fallocate64(int fd, int mode, off64_t offset, off64_t length) SAME(fallocate);
ssize_t sendfile64(int to, int from, off64_t *offset, size_t count) SAME(sendfile);
