/* examples/scope-httpd/httpd.h: what the files of the server share.
 *
 * A connection is a task (client.c).  While it waits for a request it has its stack and nothing
 * else; for the time of a burst of requests it takes a desk, which has the buffers.  A request is
 * parsed (request.c), its target becomes a path (path.c), the path an open file (cache.c), and the
 * answer (answer.c) is put into the desk's buffer or sent from the file.  Each limit of time is
 * the deadline of a scope (stream.c).
 *
 *   main.c     options, the run         listing.c  a directory as a page
 *   date.c     dates of HTTP            log.c      the access log
 *   peers.c    connections an address   status.c   /tasks, /metrics
 *   mime.c     types of files           tls.c      OpenSSL
 *   select.c   what of a file is asked for: conditions, ranges
 */
#ifndef HTTPD_H
#define HTTPD_H

#include <llhttp.h>
#include <pthread.h>
#include <scope.h>
#include <scope_net.h>
#include <scope_sync.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

enum {
	TARGET_MOST = 8000,     /* bytes of a request's target: more is 414 */
	HEAD_MOST = 16 << 10,   /* of a request's first line and headers: 431 */
	HEADERS_MOST = 100,     /* headers of a request: 431 */
	BODY_PART = 1 << 10,    /* of a body, which is read and dropped, at once */
	BODY_SMALL = 16 << 10,  /* a file of at most so many bytes is kept in memory */
	OUT_SIZE = 48 << 10,    /* of answers, sent at once */
	FIRST_SIZE = 1 << 10,   /* what a connection without a desk can read */
	PATH_SIZE = 4096,       /* of a path below the root, with its 0 */
	DATE_SIZE = 30          /* "Sun, 06 Nov 1994 08:49:37 GMT" with its 0 */
};

struct server;
struct client;
struct desk;
struct session;

/* Bytes of somebody else: of the buffer that a request lies in, mostly. */
struct span {
	const char *at;
	size_t size;
};

#define SPAN(literal) ((struct span){literal, sizeof(literal) - 1})

static inline bool span_is(struct span span, struct span other)
{
	return span.size == other.size && __builtin_memcmp(span.at, other.at, other.size) == 0;
}

/* Whether it is that word, in whatever case; `word` is in lower case. */
bool span_is_word(struct span span, struct span word);

/* ---- request.c ------------------------------------------------------------------------------- */

/* The headers that matter here. */
enum header {
	HEADER_OTHER, HEADER_HOST, HEADER_RANGE, HEADER_IF_RANGE, HEADER_IF_MATCH,
	HEADER_IF_NONE_MATCH, HEADER_IF_MODIFIED_SINCE, HEADER_IF_UNMODIFIED_SINCE, HEADER_EXPECT,
	HEADER_REFERER, HEADER_USER_AGENT, HEADER_CONTENT_LENGTH, HEADER_TRANSFER_ENCODING, HEADERS
};

struct request {
	llhttp_t parser;
	int status;     /* 0, or what refuses it: then it is the last one */
	bool keep;      /* the connection may have another one */
	bool complete;  /* its head has ended */
	bool ended;     /* its body too */
	uint64_t body;  /* bytes of it, as they came over the wire */
	unsigned count; /* of headers */
	enum header current;
	struct span target, name, value[HEADERS];
};

void request_begin(struct request *r);
/* Parses more of the head, at most to its end: how many bytes were of use.  The bytes of earlier
 * calls lie before them and stay where they are until the answer is made. */
size_t request_head(struct request *r, const char *data, size_t size);
/* Parses and forgets more of the body. */
void request_body(struct request *r, const char *data, size_t size);
/* Of the head's bytes: what the parser lets pass and a proxy may take for something else. */
void request_check(struct request *r, const char *head, size_t size);

static inline bool request_is_head(const struct request *r)
{
	return r->parser.method == HTTP_HEAD;
}

/* ---- path.c ---------------------------------------------------------------------------------- */

/* What a target asks for. */
struct path {
	size_t size;     /* of text */
	bool directory;  /* it ended with a slash */
	struct span query;
	char text[PATH_SIZE]; /* below the root, without slashes around it: "" is the root */
};

/* 0, or the status that refuses it. */
int path_parse(struct path *path, struct span target);
/* Writes the path as it stands in a target, from the first slash on.  Its bytes, at most three
 * times those of the path and two. */
size_t path_write(const char *text, char *out);

/* ---- date.c ---------------------------------------------------------------------------------- */

void date_write(time_t when, char out[DATE_SIZE]);
/* -1: it is none. */
time_t date_parse(struct span text);

/* ---- mime.c ---------------------------------------------------------------------------------- */

const char *mime_type(const char *path);

/* ---- cache.c: open files --------------------------------------------------------------------- */

struct file {
	struct file *next;    /* lock of the cache: in its bucket */
	atomic_uint users;    /* and the cache, if it is in it */
	_Atomic int64_t checked_ns; /* when it was last seen to be this file */
	/* Const from here on. */
	uint64_t hash;
	struct stat stat;
	int fd;               /* -1: it is in memory */
	const char *body;     /* NULL: it is not */
	size_t head_size;
	char head[256];       /* headers that tell what it is, whatever is sent of it */
	char etag[64], modified[DATE_SIZE];
	char path[];
};

enum { CACHE_BUCKETS = 1024, CACHE_MOST = 1024 };

struct cache {
	int root;             /* const: the directory that is served */
	unsigned most;        /* const: files in it, 1 or more */
	pthread_mutex_t lock;
	unsigned count, hand; /* lock; where the next file is taken out */
	struct file *bucket[CACHE_BUCKETS]; /* lock */
};

/* Opens the directory; at most so many files are kept open.  -errno; -ENOSYS: a kernel before
 * Linux 5.6. */
int cache_open(struct cache *cache, const char *root, unsigned most);
void cache_close(struct cache *cache);
/* The regular file at a path; to be put back.  -EISDIR, -ENOENT, -EACCES and other errors of
 * opening it; what is neither file nor directory is -EACCES. */
int cache_get(struct cache *cache, const char *path, struct file **out_file);
void cache_put(struct file *file);
uint64_t hash_of(const char *path);
/* Opens what is at a path, nothing outside of the root.  A descriptor or -errno; -EAGAIN: another
 * program keeps it from being opened now. */
int cache_open_at(const struct cache *cache, const char *path);

/* ---- listing.c: pages of directories --------------------------------------------------------- */

struct page {
	atomic_uint users;  /* and the slot that it is in */
	/* Const from here on. */
	int64_t made_ns;
	char *text;
	size_t size;
	char path[];
};

enum { LISTINGS = 8 };

struct listings {
	struct listing_slot {
		struct scope_mutex lock; /* held while a page is made */
		struct page *page;       /* lock; NULL: none yet */
	} slot[LISTINGS]; /* by the path */
};

/* The page of a directory, at most about a second old; to be put back.  -errno. */
int page_get(struct listings *listings, const struct cache *cache, const char *path,
	     struct page **out_page);
void page_put(struct page *page);
void listings_close(struct listings *listings);

/* ---- select.c -------------------------------------------------------------------------------- */

/* Which bytes of a file are asked for. */
struct part {
	int status; /* 200, 206, 304, 412, 416 */
	int64_t from, size;
};

struct part part_of(const struct request *r, const struct file *file);

/* ---- desks: buffers for the time of a burst of requests (desk.c) ----------------------------- */

/* What has happened.  Each desk counts for itself; a sum is made by who asks. */
enum count {
	COUNT_1XX, COUNT_2XX, COUNT_3XX, COUNT_4XX, COUNT_5XX, COUNT_BYTES, COUNT_LATE,
	COUNT_CUT, COUNTS
};

struct desk {
	struct desk *next; /* lock of the desks: among the free ones */
	struct desk *all;  /* const: every desk there is */
	_Atomic uint64_t counts[COUNTS]; /* who has it; all read */
	/* Who has it. */
	time_t now;        /* of the dates below */
	char date[DATE_SIZE], log_date[32];
	struct request request;
	struct path path;
	size_t in_begin, in_end; /* of what was read and not parsed yet */
	size_t out_end;
	char in[HEAD_MOST + BODY_PART];
	char out[OUT_SIZE];
};

struct desks {
	pthread_mutex_t lock;
	struct desk *free, *all; /* lock */
};

struct desk *desk_take(struct desks *desks);
void desk_give(struct desks *desks, struct desk *desk);
void desk_sum(struct desks *desks, uint64_t sums[COUNTS]);
void desk_free(struct desks *desks);
/* Brings its dates up to date. */
void desk_look_at_clock(struct desk *desk);

static inline void desk_count(struct desk *desk, enum count what, uint64_t n)
{
	atomic_store_explicit(&desk->counts[what],
			      atomic_load_explicit(&desk->counts[what], memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* ---- peers.c: connections of an address ------------------------------------------------------ */

struct peer;

struct peers {
	pthread_mutex_t lock;
	struct peer *bucket[1024]; /* lock */
};

/* Counts one more, if that is at most `most`: 0: no limit.  NULL: it is not. */
struct peer *peer_enter(struct peers *peers, const char *address, unsigned most);
void peer_leave(struct peers *peers, struct peer *peer);

/* ---- log.c ----------------------------------------------------------------------------------- */

struct log {
	const char *path; /* const; NULL: none is kept; "-": standard output */
	pthread_mutex_t lock;
	int fd;           /* lock, as what follows */
	bool is_file;     /* it takes all at once */
	bool loses;       /* what was to be written last could not be */
	uint64_t lost;    /* lines */
	size_t used;
	char buffer[256 << 10];
};

/* -errno; -ENXIO also of a pipe with a name that nobody reads. */
int log_open(struct log *log, const char *path);
/* When nobody else uses it any more. */
void log_close(struct log *log);
uint64_t log_lost(struct log *log);
/* Tells the operator, unless standard error has no room for it: who reads that may be stuck. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line of the combined format, when the answer has gone out or was put at the desk. */
void log_request(struct log *log, const struct client *c, int status, int64_t bytes);
/* A service: flushes each second. */
int log_keep(void *log);
/* A service: opens the file anew at SIGHUP, for who has moved it away. */
int log_reopen(void *log);

/* ---- the server ------------------------------------------------------------------------------ */

enum status_for { STATUS_NOBODY, STATUS_LOCAL, STATUS_ALL };

struct settings {
	const char *address, *root, *log, *certificate, *key;
	uint16_t port;
	unsigned most, most_each;
	int64_t idle_ns, request_ns, write_ns, grace_ns;
	uint64_t body_most;
	bool list;
	enum status_for status;
};

struct server {
	struct settings set; /* const */
	struct tls *tls;     /* const; NULL: none */
	struct cache cache;
	struct listings listings;
	struct desks desks;
	struct peers peers;
	struct log log;
	int64_t started_ns;  /* const */
	bool failed;         /* to listen */
	_Atomic uint64_t connections, open, refused, broken;
};

struct client {
	struct server *server;
	struct scope_conn *conn;
	struct session *tls; /* NULL: none */
	struct desk *desk;   /* NULL: waits */
	bool local;          /* at an address of this machine's own network */
	bool full;           /* the last read filled its buffer: there may be more */
	bool last;           /* no more requests are taken */
	char address[46];
};

/* The handler of scope_serve. */
int client_serve(struct scope_conn *conn, void *server);

/* ---- tls.c ----------------------------------------------------------------------------------- */

struct tls;

/* NULL: tls_error says why. */
struct tls *tls_open(const char *certificate, const char *key);
void tls_close(struct tls *tls);
const char *tls_error(void);

/* Of a client.  Greet is the handshake; read and write are as scope_conn_read and _write, but that
 * of a write that failed nothing counts as done, and -EPROTO says that what came is no TLS. */
int session_open(struct client *c);
int session_greet(struct client *c);
int session_read(struct client *c, void *buffer, size_t size, size_t *out_done);
int session_write(struct client *c, const char *data, size_t size, size_t *out_done);
bool session_has_more(const struct client *c);
int session_say_goodbye(struct client *c);
void session_close(struct client *c);

/* ---- stream.c: reading and writing within limits of time ------------------------------------- */

/* What is to be done before the first byte can be read. */
int stream_open(struct client *c);
/* Tells the client that no more will be written. */
int stream_shutdown(struct client *c);
/* Something can be read at once. */
bool stream_has_more(const struct client *c);
/* 0; *out_done 0: it has ended.  -ETIMEDOUT: not until then; other errors of scope_conn_read. */
int stream_read(struct client *c, int64_t deadline_ns, void *buffer, size_t size,
		size_t *out_done);
/* All of it, as long as some of it goes in each period of write_ns: else -ECONNABORTED.  After an
 * error nothing else may be sent: it would be taken for the rest of this. */
int stream_write(struct client *c, const char *data, size_t size);
/* Bytes of a file; how many went out, of an error too.  -EIO: it has become shorter. */
int stream_file(struct client *c, int fd, int64_t from, int64_t size, int64_t *out_sent);
/* What was answered and not sent. */
int stream_flush(struct client *c);

/* ---- answer.c -------------------------------------------------------------------------------- */

/* Answers the request at the desk.  0, or an error of the connection. */
int answer(struct client *c);
/* Answers with a status and a word of explanation. */
int answer_status(struct client *c, int status);
/* Answers with a text that was made for this request. */
int answer_text(struct client *c, int status, const char *type, const char *text, size_t size);
/* /tasks, /metrics: 0: it is none of them, 1: it was answered; an error of the connection. */
int status_answer(struct client *c);

#endif
