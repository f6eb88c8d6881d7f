/*
 * hash.c: SHA-256 beside the event loop. What each function promises stands in index.ts.
 *
 * One thread adds to all hashes of an environment, in the order of the calls: it has the next piece when it is done with
 * one, and waits neither for the event loop nor for whoever else is in the thread pool, where a slow disk may keep all places.
 * It is there while a hash is open.
 */
#include "native.h"
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* Of address space; the pages that are touched count, and these are few. */
enum { STACK_BYTES = 256 * 1024 };

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

/* Of an environment, whose event loop alone touches what the lock is not for. */
struct hasher {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  /* Under the lock: what is to be added, the oldest first, and whether the thread is to end. */
  struct addition *first, **last;
  int must_end;
  pthread_t thread;
  int has_thread;
  /* Hashes that have been made and not ended, and additions on their way. */
  unsigned open, under_way;
  /* Tells the event loop of additions that are done; NULL before the first hash. */
  napi_threadsafe_function tell;
  /* The environment and each hash that is not dropped. */
  unsigned users;
};

/* The digest is NULL after its end. While additions are on their way, the thread alone may touch it. */
struct hash {
  struct hasher *hasher;
  void *digest;
  unsigned under_way;
};

/* One addition on its way; what it works on is kept from the garbage collector meanwhile. */
struct addition {
  struct addition *next;
  napi_ref hash_ref, bytes_ref, done_ref;
  struct hash *hash;
  const void *bytes;
  size_t length;
  int failed;
};

static void add_now(struct hasher *hasher, struct addition *addition) {
  addition->failed = openssl.add(addition->hash->digest, addition->bytes, addition->length) != 1;
  napi_call_threadsafe_function(hasher->tell, addition, napi_tsfn_nonblocking);
}

static void *add_all(void *data) {
  struct hasher *hasher = data;
  pthread_mutex_lock(&hasher->lock);
  while (!hasher->must_end) {
    struct addition *addition = hasher->first;
    if (!addition) {
      pthread_cond_wait(&hasher->changed, &hasher->lock);
      continue;
    }
    hasher->first = addition->next;
    if (!hasher->first) hasher->last = &hasher->first;
    pthread_mutex_unlock(&hasher->lock);
    add_now(hasher, addition);
    pthread_mutex_lock(&hasher->lock);
  }
  pthread_mutex_unlock(&hasher->lock);
  return NULL;
}

/* Without a thread (there may be no more processes) the event loop does its work. */
static void begin_thread(struct hasher *hasher) {
  if (hasher->has_thread) return;
  pthread_attr_t how;
  sigset_t all, before;
  if (pthread_attr_init(&how) != 0) return;
  /* Signals are for the threads of Node.js. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_setstacksize(&how, STACK_BYTES);
  hasher->must_end = 0;
  hasher->has_thread = pthread_create(&hasher->thread, &how, add_all, hasher) == 0;
  if (hasher->has_thread) pthread_setname_np(hasher->thread, "dmgw-sha256");
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&how);
}

/* Waits for the addition that it is at; those that come after that are left. */
static void end_thread(struct hasher *hasher) {
  if (!hasher->has_thread) return;
  pthread_mutex_lock(&hasher->lock);
  hasher->must_end = 1;
  pthread_cond_signal(&hasher->changed);
  pthread_mutex_unlock(&hasher->lock);
  pthread_join(hasher->thread, NULL);
  hasher->has_thread = 0;
}

/* The environment is left: it frees the references itself, and what `tell` has been told and not passed on. */
static void leave(void *data) {
  struct hasher *hasher = data;
  end_thread(hasher);
  while (hasher->first) {
    struct addition *next = hasher->first->next;
    free(hasher->first);
    hasher->first = next;
  }
}

static void drop_hasher(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  struct hasher *hasher = data;
  hasher->users -= 1;
  if (hasher->users > 0) return;
  pthread_cond_destroy(&hasher->changed);
  pthread_mutex_destroy(&hasher->lock);
  free(hasher);
}

static void close_hash(struct hash *hash) {
  openssl.drop(hash->digest);
  hash->digest = NULL;
  hash->hasher->open -= 1;
  if (hash->hasher->open == 0) end_thread(hash->hasher);
}

static void drop_hash(napi_env env, void *data, void *hint) {
  struct hash *hash = data;
  if (hash->digest) close_hash(hash);
  drop_hasher(env, hash->hasher, hint);
  free(hash);
}

static void forget(napi_env env, struct addition *addition) {
  if (addition->hash_ref) napi_delete_reference(env, addition->hash_ref);
  if (addition->bytes_ref) napi_delete_reference(env, addition->bytes_ref);
  if (addition->done_ref) napi_delete_reference(env, addition->done_ref);
  free(addition);
}

/* The event loop lives on while additions are on their way. */
static void count(napi_env env, struct hash *hash, int more) {
  struct hasher *hasher = hash->hasher;
  if (hasher->under_way == 0) napi_ref_threadsafe_function(env, hasher->tell);
  hasher->under_way += more;
  hash->under_way += more;
  if (hasher->under_way == 0) napi_unref_threadsafe_function(env, hasher->tell);
}

/* An addition is done; `env` is NULL where the environment is being left. */
static void added(napi_env env, napi_value unused, void *context, void *data) {
  (void)unused, (void)context;
  struct addition *addition = data;
  const int failed = addition->failed;
  napi_value done = NULL, nothing, failure, thrown;
  if (!env) {
    free(addition);
    return;
  }
  count(env, addition->hash, -1);
  napi_get_reference_value(env, addition->done_ref, &done);
  forget(env, addition);
  if (done && napi_get_undefined(env, &nothing) == napi_ok && napi_get_boolean(env, failed, &failure) == napi_ok &&
      napi_call_function(env, nothing, done, 1, &failure, NULL) == napi_pending_exception &&
      napi_get_and_clear_last_exception(env, &thrown) == napi_ok)
    /* It ends the process, as from any callback. */
    napi_fatal_exception(env, thrown);
}

static int make_ready(napi_env env, struct hasher *hasher) {
  napi_value name;
  if (hasher->tell) return 1;
  if (napi_create_string_utf8(env, "dmgw:sha256", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, NULL, NULL, name, 0, 1, NULL, NULL, NULL, added, &hasher->tell) != napi_ok)
    return 0;
  napi_unref_threadsafe_function(env, hasher->tell);
  /* After the function: what was added last is called first, and the thread must end before the function does. */
  return napi_add_env_cleanup_hook(env, leave, hasher) == napi_ok;
}

/* makeHash(): a SHA-256 of nothing yet. Throws when there is no memory. */
static napi_value make_hash(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result;
  void *data;
  struct hash *hash = calloc(1, sizeof *hash);
  if (hash && napi_get_instance_data(env, &data) == napi_ok && make_ready(env, data) &&
      (hash->digest = openssl.make()) && openssl.begin(hash->digest, openssl.sha256(), NULL) == 1 &&
      napi_create_external(env, hash, drop_hash, NULL, &result) == napi_ok) {
    hash->hasher = data;
    hash->hasher->users += 1;
    hash->hasher->open += 1;
    return result;
  }
  if (hash && hash->digest) openssl.drop(hash->digest);
  free(hash);
  napi_throw_error(env, "ENOMEM", "cannot begin a digest");
  return NULL;
}

/* The hash that a value stands for; NULL for anything else, and after its end. */
static struct hash *open_hash(napi_env env, napi_value value) {
  void *data;
  if (napi_get_value_external(env, value, &data) != napi_ok) return NULL;
  struct hash *hash = data;
  return hash->digest ? hash : NULL;
}

/*
 * addToHash(hash, bytes, done): adds bytes after those of the calls before, then calls done(failed). Throws after the end of
 * the hash. That nobody writes to the bytes meanwhile, nor gives them to another thread, is the caller's promise.
 */
static napi_value add_to_hash(napi_env env, napi_callback_info info) {
  napi_value given[3];
  size_t count_given = 3;
  napi_typedarray_type kind;
  napi_valuetype type;
  void *bytes;
  struct addition *addition = calloc(1, sizeof *addition);
  if (!addition || napi_get_cb_info(env, info, &count_given, given, NULL, NULL) != napi_ok || count_given != 3 ||
      !(addition->hash = open_hash(env, given[0])) ||
      napi_get_typedarray_info(env, given[1], &kind, &addition->length, &bytes, NULL, NULL) != napi_ok ||
      kind != napi_uint8_array || napi_typeof(env, given[2], &type) != napi_ok || type != napi_function ||
      napi_create_reference(env, given[0], 1, &addition->hash_ref) != napi_ok ||
      napi_create_reference(env, given[1], 1, &addition->bytes_ref) != napi_ok ||
      napi_create_reference(env, given[2], 1, &addition->done_ref) != napi_ok) {
    if (addition) forget(env, addition);
    napi_throw_error(env, "EINVAL", "cannot add to a digest");
    return NULL;
  }
  struct hasher *hasher = addition->hash->hasher;
  addition->bytes = bytes;
  count(env, addition->hash, 1);
  begin_thread(hasher);
  if (hasher->has_thread) {
    pthread_mutex_lock(&hasher->lock);
    *hasher->last = addition;
    hasher->last = &addition->next;
    pthread_cond_signal(&hasher->changed);
    pthread_mutex_unlock(&hasher->lock);
  } else {
    add_now(hasher, addition);
  }
  return NULL;
}

/* endHash(hash): its 32 bytes. Throws the second time, and while an addition is on its way. */
static napi_value end_hash(napi_env env, napi_callback_info info) {
  napi_value given[1], result;
  size_t count_given = 1;
  struct hash *hash;
  void *bytes;
  unsigned char digest[64];
  unsigned length;
  if (napi_get_cb_info(env, info, &count_given, given, NULL, NULL) == napi_ok && count_given == 1 &&
      (hash = open_hash(env, given[0])) && hash->under_way == 0) {
    const int ended = openssl.end(hash->digest, digest, &length);
    close_hash(hash);
    if (ended == 1 && napi_create_buffer_copy(env, length, digest, &bytes, &result) == napi_ok) return result;
  }
  napi_throw_error(env, "EINVAL", "cannot end a digest");
  return NULL;
}

void offer_hash(napi_env env, napi_value exports) {
  if (!find_openssl()) return;
  struct hasher *hasher = calloc(1, sizeof *hasher);
  if (!hasher) return;
  pthread_mutex_init(&hasher->lock, NULL);
  pthread_cond_init(&hasher->changed, NULL);
  hasher->last = &hasher->first;
  hasher->users = 1;
  if (napi_set_instance_data(env, hasher, drop_hasher, NULL) != napi_ok) {
    drop_hasher(env, hasher, NULL);
    return;
  }
  offer(env, exports, "makeHash", make_hash);
  offer(env, exports, "addToHash", add_to_hash);
  offer(env, exports, "endHash", end_hash);
}
