/* examples/scope-sum/sum.h: what the parts of scope-sum share.
 *
 * A *slice* is up to 64 files of one directory.  The walk makes slices and queues them;
 * a few *runners*, tasks of the scope `sum.hash`, take one after the other, open its
 * directory once and spawn one task per file.  Slices live until the program ends: they
 * are the manifest to be.
 *
 * Tasks here return 0 whatever happens to their file, so that one bad file does not cancel
 * the rest; what went wrong is printed at once and remembered in `sum.failed`.
 *
 * A task may run on as little as 16 KiB of stack (inlined below many others), so big
 * buffers come from kit_take() and nothing here uses stdio inside a task.
 */
#ifndef SUM_H
#define SUM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <openssl/evp.h>

#include <scope.h>

enum {
	DIGEST_SIZE = 32,
	SLICE_FILES = 64,
	READ_SIZE = 128 * 1024,
	CANCEL_STRIDE = 1024 * 1024 /* bytes hashed between two looks for a cancel */
};

/* One directory of the walk; const once it was listed.  `path` ends with '/', or is empty
 * for names that are taken as they are (command line, manifest).  Lives until its task ends,
 * or as long as its slices if it has any. */
struct dir {
	const struct dir *up; /* for the walk: NULL for one named on the command line */
	bool given;           /* up is NULL: a link was followed to get here */
	bool used;            /* there is a slice of it */
	dev_t dev;
	ino_t ino;
	int fd; /* opened ahead by the parent, else -1 */
	size_t length;
	char path[];
};

enum file_state { FILE_PENDING, FILE_DONE, FILE_FAILED, FILE_LEFT_OUT };

/* One file; written by the task that hashes it, read after sum.hash was closed.  Lies in
 * its slice, the next one file_size(length) bytes further. */
struct file {
	struct slice *slice;
	uint32_t length;
	uint8_t state; /* enum file_state */
	uint8_t digest[DIGEST_SIZE];
	char name[]; /* NUL-terminated */
};

/* Const once sent, but for `fd`, which belongs to its runner. */
struct slice {
	struct slice *next;   /* sum.slices */
	struct slice *queued; /* the queue of the runners */
	struct dir *dir;
	int fd;
	uint32_t count;
};

/* A slice under construction; belongs to one task. */
struct batch {
	struct dir *dir;
	struct slice *slice;
	size_t used, room;
};

/* What hashing one file needs; in use by one task at a time. */
struct kit {
	EVP_MD_CTX *context;
	unsigned char *buffer; /* READ_SIZE bytes */
};

struct sum {
	/* const after start */
	unsigned workers;
	bool progress, stats;
	int handed_max;  /* directories that may wait with an open descriptor */
	int parked_max;  /* files that may wait with an open descriptor */
	int runners_max; /* slices in work at a time */
	const char *out_name;
	bool out_exists; /* out_dev and out_ino are the file that -o will replace */
	dev_t out_dev;
	ino_t out_ino;
	int64_t start_ns;
	struct scope *hash; /* open from before the walk until the last file */

	/* atomic: any task */
	_Atomic(struct slice *) slices; /* all of them, last sent first */
	atomic_bool failed, walked;
	_Atomic uint64_t files_done, bytes_done, files_seen, bytes_seen;
	_Atomic uint64_t links, stacks_most;
	atomic_int hashing; /* tasks that hold an open file */
	atomic_int handed;
};
extern struct sum sum;

/* slice.c */
extern struct dir as_given; /* the one with the empty path */
size_t file_size(size_t length);
struct file *slice_first(struct slice *s);
struct file *file_next(struct file *f);
void batch_start(struct batch *b, struct dir *dir);
bool batch_add(struct batch *b, const char *name, size_t length);
void batch_send(struct batch *b); /* what is left, if anything */
struct slice *slices_in_order(void);

/* kit.c */
int kit_init(void);
struct kit *kit_take(void); /* NULL: no memory */
void kit_give(struct kit *k);
int open_at(int at, const char *path, size_t length, int flags); /* a descriptor or -errno */
int wait_ready(int fd, short events); /* 0 or -ECANCELED; for what is no regular file */

/* hash.c */
int hash_task(void *file);

/* walk.c */
int walk_arguments(char **paths, int count);

/* manifest.c */
int manifest_write(const char *out_name);

/* check.c */
int check_read(const char *manifest);
int check_report(void);

/* out.c: whole lines to stdout or, by way of a temporary, to a file. */
struct out {
	int fd;
	const char *name; /* for messages */
	char *target;     /* what the temporary will replace */
	char *temporary;  /* NULL: written in place */
	size_t chunk;     /* most bytes of one write */
	size_t used;
	char *buffer;
};
int out_probe(const char *name); /* says early what out_open would; fills sum.out_* */
int out_open(struct out *o, const char *name); /* NULL: stdout */
int out_write(struct out *o, const char *line, size_t length); /* a whole line */
int out_finish(struct out *o, int rc); /* publishes if rc is 0, else removes; returns rc */

/* text.c: a growing piece of text; `bad` once memory ran out. */
struct text {
	char *data;
	size_t length, room;
	bool bad;
};
void text_put(struct text *t, const char *data, size_t length);
void text_string(struct text *t, const char *string);
void text_format(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_quoted(struct text *t, const char *data, size_t length);  /* for messages */
void text_escaped(struct text *t, const char *data, size_t length); /* as sha256sum does */
bool needs_escape(const char *data, size_t length);
void text_free(struct text *t);

/* note.c */
void note_error(const char *directory, const char *name, const char *what);
void note_errno(const char *directory, const char *name, int error);
void note_plain(const char *directory, const char *name, const char *what);
void note_stats(void);
int progress_task(void *unused);
void progress_end(void);

#endif
