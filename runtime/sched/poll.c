/* runtime/sched/poll.c: the slots of descriptors, and what their events do; see poll.h. */
#include "sched/poll.h"
#include <errno.h>
#include <string.h>

enum { CHUNK = SC_BOUND(256, 1), CHUNKS = SC_BOUND(4096, 2), EVERY = SC_EVENT_IN | SC_EVENT_RDHUP };

/* A busy worker looks at most once in about 50 us. */
#define GLANCE_TICKS 125000u

/* A tag that no slot has. */
#define EMBEDDED (UINT64_MAX - 1)
static SC_WORD(sc_embedded_fn *) embedded;

static SC_WORD(void *) chunks[CHUNKS]; /* their memory, which is aligned by who uses it */
static struct sc_lock opening;

/* ---- slots --------------------------------------------------------------------------------- */

static struct sc_fd *slots_in(void *memory)
{
	return (struct sc_fd *)(((uintptr_t)memory + SC_CACHE_LINE - 1) &
				-(uintptr_t)SC_CACHE_LINE);
}

static void *new_chunk(unsigned index)
{
	const size_t size = CHUNK * sizeof(struct sc_fd) + SC_CACHE_LINE;
	void *memory = sc_os.alloc(size), *expected = NULL;
	unsigned i;

	if (!memory)
		return NULL;
	memset(memory, 0, size);
	for (i = 0; i < CHUNK; i++)
		slots_in(memory)[i].fd = (int)(index * CHUNK + i);
	if (at_cas_acqrel(&chunks[index], &expected, memory)) /* [poll.chunk] */
		return memory;
	sc_os.free(memory);
	return expected;
}

/* The first descriptor of a run.  Who sleeps with the timeout has to do so in the new set. */
static int start_polling(void)
{
	int rc = 0;

	sc_lock_take(&opening);
	if (!at_load_rlx(&sc_sched.polling)) {
		rc = sc_os.poll_open();
		if (rc == 0)
			at_store_rel(&sc_sched.polling, 1); /* [poll.open] */
	}
	sc_lock_drop(&opening);
	if (rc == 0)
		sc_wake_keeper(); /* with a fence [poll.open] */
	return rc;
}

/* NULL: *rc says why. */
static struct sc_fd *slot_of(int fd, int *rc)
{
	void *memory = NULL;

	*rc = fd < 0 ? -EBADF : (unsigned)fd / CHUNK >= CHUNKS ? -EMFILE : 0;
	if (*rc == 0 && !sc_polling())
		*rc = start_polling();
	if (*rc < 0)
		return NULL;
	memory = at_load_acq(&chunks[fd / CHUNK]); /* [poll.chunk] */
	if (!memory)
		memory = new_chunk((unsigned)fd / CHUNK);
	*rc = memory ? 0 : -ENOMEM;
	return memory ? &slots_in(memory)[fd % CHUNK] : NULL;
}

static uint64_t tag_of(const struct sc_fd *f)
{
	return (uint64_t)f->life << 32 | (uint32_t)f->fd;
}

/* lock.  Who has to be continued is added. */
static void claim(struct sc_fd *f, enum sc_side side, struct sc_batch *woken)
{
	struct sc_strand *strand = f->side[side].waiter;

	if (strand && sc_wait_claim(strand, SC_WAIT_EVENT))
		sc_batch_add(woken, &strand->item);
}

/* lock.  The number means something else from now on, or nothing. */
static void end_life(struct sc_fd *f, struct sc_batch *woken)
{
	claim(f, SC_IN, woken);
	claim(f, SC_OUT, woken);
	f->side[SC_IN].waiter = f->side[SC_OUT].waiter = NULL;
	f->life++;
	f->state = f->calls = 0;
}

/* ---- own descriptors ------------------------------------------------------------------------ */

int sc_fd_open(int fd, unsigned kind, struct sc_fd **out)
{
	const unsigned events = kind & SC_FD_OUT ? EVERY | SC_EVENT_OUT : EVERY;
	struct sc_batch woken = {NULL, NULL, 0};
	struct sc_fd *f;
	uint64_t tag;
	int rc;

	f = slot_of(fd, &rc);
	if (!f)
		return rc;
	sc_lock_take(&f->lock);
	end_life(f, &woken); /* who waited for a foreign one that was closed and not told */
	f->state = SC_FD_OWN | kind;
	f->side[SC_IN].edges = f->side[SC_OUT].edges = 1;
	f->side[SC_IN].drained = 0;
	f->side[SC_OUT].drained = kind & SC_FD_OUT ? 1 : 0;
	tag = tag_of(f);
	sc_lock_drop(&f->lock);
	sc_ready_batch(&woken);
	rc = sc_os.poll_watch(fd, SC_WATCH_NEW, events, tag);
	if (rc == -EEXIST)
		rc = sc_os.poll_watch(fd, SC_WATCH_CHANGE, events, tag);
	if (rc < 0) {
		woken = (struct sc_batch){NULL, NULL, 0};
		sc_lock_take(&f->lock);
		end_life(f, &woken);
		sc_lock_drop(&f->lock);
		sc_ready_batch(&woken);
		return rc;
	}
	*out = f;
	return 0;
}

/* It is forgotten first: if a copy of the descriptor is left, its events would go on. */
static void finish(struct sc_fd *f)
{
	sc_os.poll_forget(f->fd);
	sc_os.close(f->fd);
}

uint32_t sc_fd_life(struct sc_fd *f)
{
	uint32_t life;

	sc_lock_take(&f->lock);
	life = f->life;
	sc_lock_drop(&f->lock);
	return life;
}

/* life: NULL: whichever it is. */
static void close_own(struct sc_fd *f, const uint32_t *life)
{
	struct sc_batch woken = {NULL, NULL, 0};
	int own, last;

	sc_lock_take(&f->lock);
	own = (f->state & SC_FD_OWN) && (!life || f->life == *life);
	last = own && f->calls == 0;
	if (last) {
		end_life(f, &woken);
	} else if (own) {
		f->state |= SC_FD_CLOSING;
		claim(f, SC_IN, &woken);
		claim(f, SC_OUT, &woken);
	}
	sc_lock_drop(&f->lock);
	if (last)
		finish(f);
	sc_ready_batch(&woken);
}

void sc_fd_close(struct sc_fd *f)
{
	close_own(f, NULL);
}

void sc_fd_close_in(struct sc_fd *f, uint32_t life)
{
	close_own(f, &life);
}

void sc_fd_end(struct sc_fd *f)
{
	struct sc_batch woken = {NULL, NULL, 0};

	end_life(f, &woken);
	sc_lock_drop(&f->lock);
	finish(f);
	sc_ready_batch(&woken);
}

/* lock.  OUT is not watched from the start: most that is written fits.  The change tells what is
 * ready already, so it may come before a wait or after it. */
static int watch_own(struct sc_fd *f, int out)
{
	const unsigned all = EVERY | SC_EVENT_PRI;
	int rc;

	out |= (f->state & SC_FD_OUT) != 0;
	rc = sc_os.poll_watch(f->fd, SC_WATCH_CHANGE, out ? all | SC_EVENT_OUT : all, tag_of(f));
	if (rc == 0 && out)
		f->state |= SC_FD_OUT;
	return rc;
}

int sc_fd_wait(struct sc_use *use, struct sc_strand *strand)
{
	struct sc_fd *f = use->fd;
	enum sc_side side = use->side;
	int rc = 0;

	sc_lock_take(&f->lock);
	f->side[side].drained = use->seen;
	if (side == SC_OUT && !(f->state & SC_FD_OUT))
		rc = watch_own(f, 1);
	if (f->state & SC_FD_CLOSING)
		rc = -EBADF;
	if (rc == 0 && f->side[side].edges == use->seen) {
		f->side[side].waiter = strand;
		f->asked[side] = side == SC_IN ? EVERY : SC_EVENT_OUT;
		f->calls--;
		rc = 1;
	} else if (rc == 0) {
		use->seen = f->side[side].edges;
	}
	sc_lock_drop(&f->lock);
	return rc;
}

int sc_fd_woken(struct sc_use *use)
{
	struct sc_fd *f = use->fd;
	int rc = -EBADF;

	sc_lock_take(&f->lock);
	if (f->life == use->life) {
		f->side[use->side].waiter = NULL;
		if (!(f->state & SC_FD_CLOSING)) {
			f->calls++;
			use->seen = f->side[use->side].edges;
			rc = 0;
		}
	}
	sc_lock_drop(&f->lock);
	return rc;
}

/* ---- any descriptor -------------------------------------------------------------------------- */

/* Those of the events that are of one side. */
static unsigned part(unsigned events, int side)
{
	return side == SC_OUT ? events & SC_EVENT_OUT : events & ~(unsigned)SC_EVENT_OUT;
}

/* lock.  What all that wait for it ask for, and tell it once. */
static int watch_foreign(struct sc_fd *f)
{
	unsigned events = 0;
	int side;

	for (side = SC_IN; side < SC_SIDES; side++)
		if (f->side[side].waiter && !f->came[side])
			events |= f->asked[side];
	if (!(f->state & SC_FD_OWN))
		return events ? sc_os.poll_watch(f->fd, SC_WATCH_ONCE, events, tag_of(f)) : 0;
	return watch_own(f, (events & SC_EVENT_OUT) != 0);
}

/* lock.  The kernel is asked under it, so that of two who wait the second asks for both. */
static int arm(struct sc_fd *f, unsigned events, struct sc_strand *strand, struct sc_batch *woken)
{
	int alone = !f->side[SC_IN].waiter && !f->side[SC_OUT].waiter, side, rc;

	if (f->state & SC_FD_CLOSING)
		return -EBADF;
	for (side = SC_IN; side < SC_SIDES; side++)
		if (part(events, side) &&
		    (f->side[side].waiter || (f->state & SC_FD_BUSY << side)))
			return -EBUSY;
	if (alone && !(f->state & SC_FD_OWN))
		f->life++; /* what an earlier wait asked for may still come */
	for (side = SC_IN; side < SC_SIDES; side++) {
		if (!part(events, side))
			continue;
		f->side[side].waiter = strand;
		f->asked[side] = (uint16_t)part(events, side);
		f->came[side] = 0;
	}
	rc = watch_foreign(f);
	if (rc == 1 && !alone) {
		/* What the others wait for was closed: this is another descriptor. */
		for (side = SC_IN; side < SC_SIDES; side++)
			if (!part(events, side)) {
				claim(f, side, woken);
				f->side[side].waiter = NULL;
			}
		f->life++;
		rc = watch_foreign(f);
	}
	if (rc >= 0)
		return 0;
	for (side = SC_IN; side < SC_SIDES; side++)
		if (part(events, side))
			f->side[side].waiter = NULL;
	return rc;
}

int sc_fd_arm(int fd, unsigned events, struct sc_strand *strand, struct sc_arm *out)
{
	struct sc_batch woken = {NULL, NULL, 0};
	struct sc_fd *f;
	int rc;

	f = slot_of(fd, &rc);
	if (!f)
		return rc;
	sc_lock_take(&f->lock);
	rc = arm(f, events, strand, &woken);
	*out = (struct sc_arm){f, events, f->life};
	sc_lock_drop(&f->lock);
	sc_ready_batch(&woken);
	return rc;
}

int sc_fd_disarm(struct sc_arm *arm, struct sc_strand *strand)
{
	struct sc_fd *f = arm->fd;
	int side, came = 0;

	sc_lock_take(&f->lock);
	for (side = SC_IN; side < SC_SIDES; side++) {
		if (!part(arm->events, side))
			continue;
		if (f->life != arm->life || f->side[side].waiter != strand) {
			came = -EBADF;
			break;
		}
		came |= f->came[side];
		f->side[side].waiter = NULL;
	}
	if (came >= 0 && (f->state & SC_FD_CLOSING))
		came = -EBADF;
	sc_lock_drop(&f->lock);
	return came;
}

/* Under the lock: who begins to wait does so before, and is told, or finds it closed. */
void sc_fd_shut(int fd)
{
	struct sc_batch woken = {NULL, NULL, 0};
	struct sc_fd *f;
	int rc;

	f = slot_of(fd, &rc);
	if (!f) { /* for nobody else either */
		sc_os.close(fd);
		return;
	}
	sc_lock_take(&f->lock);
	if (!(f->state & SC_FD_OWN))
		end_life(f, &woken);
	sc_os.close(fd);
	sc_lock_drop(&f->lock);
	sc_ready_batch(&woken);
}

/* ---- the event loop of another library ----------------------------------------------------- */

int sc_poll_embed(int fd, sc_embedded_fn *ready)
{
	int rc = sc_polling() ? 0 : start_polling();

	if (rc < 0)
		return rc;
	at_store_rlx(&embedded, ready);
	rc = sc_os.poll_watch(fd, SC_WATCH_ONCE, SC_EVENT_IN, EMBEDDED);
	return rc < 0 ? rc : 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* lock */
static void side_event(struct sc_fd *f, enum sc_side side, unsigned events, struct sc_batch *woken)
{
	const unsigned always = SC_EVENT_ERR | SC_EVENT_HUP;

	if (!part(events, side) && !(events & always))
		return;
	f->side[side].edges++;
	if (!f->side[side].waiter || !(events & (f->asked[side] | always)))
		return;
	f->came[side] |= (uint16_t)events;
	claim(f, side, woken);
}

static void deliver(const struct sc_event *event, struct sc_batch *woken)
{
	/* The kernel tells of nothing before it was told of it, in order. */
	unsigned fd = (uint32_t)event->tag;
	struct sc_fd *f;

	if (event->tag == EMBEDDED) {
		at_load_rlx(&embedded)(woken);
		return;
	}
	f = &slots_in(at_load_rlx(&chunks[fd / CHUNK]))[fd % CHUNK];
	sc_lock_take(&f->lock);
	if (f->life == event->tag >> 32) {
		if (event->events & (SC_EVENT_RDHUP | SC_EVENT_HUP | SC_EVENT_ERR))
			f->state |= SC_FD_ENDED;
		side_event(f, SC_IN, event->events, woken);
		side_event(f, SC_OUT, event->events, woken);
		/* One of two was told.  If the other can't be watched it is told of an error. */
		if (!(f->state & SC_FD_OWN) && watch_foreign(f) < 0) {
			side_event(f, SC_IN, SC_EVENT_ERR, woken);
			side_event(f, SC_OUT, SC_EVENT_ERR, woken);
		}
	}
	sc_lock_drop(&f->lock);
}

int sc_poll_deliver(const struct sc_catch *caught)
{
	struct sc_batch woken = {NULL, NULL, 0};
	unsigned i;

	for (i = 0; i < caught->count; i++)
		deliver(&caught->event[i], &woken);
	sc_ready_here(&woken);
	return woken.count > 0;
}

int sc_poll_look(void)
{
	struct sc_catch caught;

	caught.count = sc_os.poll_wait(caught.event, SC_EVENTS, 0);
	at_store_rlx(&sc_sched.polled, sc_ticks());
	return sc_poll_deliver(&caught);
}

/* Where a sleeper waits in the set it hears of everything first. */
void sc_poll_glance(void)
{
	uint64_t ticks = sc_ticks();

	if (at_load_rlx(&sc_sched.timekeeper) ||
	    ticks - at_load_rlx(&sc_sched.polled) < GLANCE_TICKS)
		return;
	sc_poll_look();
}

void sc_poll_end(void)
{
	unsigned i, k;

	if (!at_load_rlx(&sc_sched.polling))
		return;
	for (i = 0; i < CHUNKS; i++) {
		if (!chunks[i])
			continue;
		for (k = 0; k < CHUNK; k++)
			if (slots_in(chunks[i])[k].state & SC_FD_OWN)
				sc_os.close(slots_in(chunks[i])[k].fd);
		sc_os.free(chunks[i]);
		chunks[i] = NULL;
	}
	sc_os.poll_close();
	at_store_rlx(&sc_sched.polling, 0);
}
