/* tests/model/words.hpp: shared words and their operations under the Relacy model checker.
 *
 * base/atomic.h includes this file in place of the compiler's atomics, so that the shipped
 * sources run on simulated memory: a load may see an old value unless the orders forbid it.
 *
 *   SC_WORD(T)   an atomic.  Read or written without an at_ operation it is relaxed, as a
 *                plain access of its owner is at its weakest
 *   SC_PLAIN(T)  data that an order has to guard: two accesses that none keeps apart fail the
 *                model as a data race
 *
 * Both have the size of T and hold the value from before the schedule began.  The first
 * access of a schedule makes the simulated cell, which is found by address.
 */
#ifndef MODEL_WORDS_HPP
#define MODEL_WORDS_HPP

#include <relacy/pch.hpp>

#include <relacy/base.hpp>
#include <relacy/relacy.hpp>

/* Relacy takes over words of the language that the sources use as they are. */
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno
#define errno (*__errno_location())

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mutant.hpp"

template <class T, bool atomic> struct sc_shared;
#define SC_WORD(type)  sc_shared<type, true>
#define SC_PLAIN(type) sc_shared<type, false>
#define SC_EITHER(one, other) one; other
#define SC_POINT(p)    ((void)0)
#define SC_BOUND(shipped, modelled) (modelled)

namespace model
{

/* ---- the interrupt: a signal handler of one thread, at any of its accesses ---- */

struct interrupt {
	void (*handler)(void *arg);
	void *arg;
	unsigned left; /* how often it may still come */
	bool inside;
};

enum { MOST_THREADS = 4 };
extern struct interrupt interrupts[MOST_THREADS];
extern bool has_interrupts;

inline void take_interrupt()
{
	struct interrupt &interrupt = interrupts[rl::thread_index()];

	if (!interrupt.left || interrupt.inside)
		return;
	/* A search tries both; at random it should not always come at the first access. */
	if (rl::rand(rl::ctx().is_random_sched() ? 8 : 2) != 1)
		return;
	interrupt.left--;
	interrupt.inside = true;
	interrupt.handler(interrupt.arg);
	interrupt.inside = false;
}

/* Between any two accesses. */
inline void point()
{
	if (has_interrupts)
		take_interrupt();
}

/* ---- the thread-local pointer to its worker, for models of the whole runtime ---- */

/* Set by such a model.  While an access lets other threads run, the pointer is theirs. */
extern void *(*read_self)();
extern void (*write_self)(void *self);

struct keep_self {
	void *self;

	keep_self() : self(read_self ? read_self() : NULL) {}
	~keep_self()
	{
		if (write_self)
			write_self(self);
	}
};

/* ---- cells ---- */

template <size_t size> struct unsigned_of;
template <> struct unsigned_of<4> {
	typedef uint32_t type;
};
template <> struct unsigned_of<8> {
	typedef uint64_t type;
};

template <class T> inline typename unsigned_of<sizeof(T)>::type bits_of(T value)
{
	typename unsigned_of<sizeof(T)>::type bits;

	memcpy(&bits, &value, sizeof bits);
	return bits;
}

template <class T, class U> inline T value_of(U bits)
{
	T value;

	memcpy(&value, &bits, sizeof value);
	return value;
}

/* What is added to a T. */
template <class T> struct step_of {
	typedef T type;
};
template <class T> struct step_of<T *> {
	typedef ptrdiff_t type;
};

/* T itself, where a constant of another type is to become one. */
template <class T> struct same {
	typedef T type;
};

/* The cell at this address or NULL; the cells of a schedule are few. */
void *find_cell(const void *address);
void keep_cell(const void *address, void *cell, void (*drop)(void *cell));
/* Memory at this address becomes another object. */
void forget_cell(const void *address);

template <class C> void drop_cell(void *cell)
{
	static_cast<C *>(cell)->~C();
	free(cell);
}

/* No thread has read this word's first value yet; Relacy leaves that open.  Set for the number
 * of threads of a test. */
extern void (*set_unread)(rl::atomic_data *data);

/* What memory held before the schedule began is known to all threads. */
template <class U> void hold(rl::generic_atomic<U, true> *cell, U bits)
{
	set_unread(cell->impl_);
	cell->value_ = bits;
	cell->history_[cell->last_index_] = bits;
}

template <class U> void hold(rl::var<U> *cell, U bits)
{
	cell->value_ = bits;
	cell->initialized_ = true;
}

template <class C, class U> inline C *cell_at(const void *address)
{
	void *cell = find_cell(address);
	U bits;

	if (!cell) {
		memcpy(&bits, address, sizeof bits);
		cell = malloc(sizeof(C));
		::new (cell) C();
		hold(static_cast<C *>(cell), bits);
		keep_cell(address, cell, drop_cell<C>);
	}
	return static_cast<C *>(cell);
}

template <class T>
inline rl::generic_atomic<typename unsigned_of<sizeof(T)>::type, true> *
cell_of(const sc_shared<T, true> *word)
{
	typedef typename unsigned_of<sizeof(T)>::type bits;
	return cell_at<rl::generic_atomic<bits, true>, bits>(word);
}

template <class T>
inline rl::var<typename unsigned_of<sizeof(T)>::type> *cell_of(const sc_shared<T, false> *data)
{
	typedef typename unsigned_of<sizeof(T)>::type bits;
	return cell_at<rl::var<bits>, bits>(data);
}

/* ---- accesses without an at_ operation ---- */

inline rl::debug_info plainly()
{
	return rl::debug_info("", "plain access", 0);
}

template <class T>
inline T load(const sc_shared<T, true> *word, rl::memory_order order, rl::debug_info at)
{
	keep_self self;

	point();
	return value_of<T>(cell_of(word)->load(mutated(order, at), at));
}

template <class T> inline T get(const sc_shared<T, true> *word)
{
	return load(word, rl::mo_relaxed, plainly());
}

template <class T> inline T get(const sc_shared<T, false> *data)
{
	point();
	return value_of<T>(cell_of(data)->load(plainly()));
}

template <class T> inline void set(sc_shared<T, true> *word, T value)
{
	keep_self self;

	point();
	cell_of(word)->store(bits_of(value), rl::mo_relaxed, plainly());
}

template <class T> inline void set(sc_shared<T, false> *data, T value)
{
	point();
	cell_of(data)->store(bits_of(value), plainly());
}

} // namespace model

/* ---- the types ---- */

template <class T, bool atomic> struct sc_shared {
	T raw;

	sc_shared() : raw()
	{
		model::forget_cell(this);
	}
	sc_shared(T value) : raw(value)
	{
		model::forget_cell(this);
	}
	sc_shared(const sc_shared &other) : raw(other)
	{
		model::forget_cell(this);
	}
	operator T() const
	{
		return model::get(this);
	}
	T operator->() const
	{
		return model::get(this);
	}
	T operator=(T value)
	{
		model::set(this, value);
		return value;
	}
	T operator=(const sc_shared &other)
	{
		return *this = model::get(&other);
	}
	T operator+=(typename model::step_of<T>::type value)
	{
		return *this = (T)(model::get(this) + value);
	}
	T operator-=(typename model::step_of<T>::type value)
	{
		return *this = (T)(model::get(this) - value);
	}
	T operator|=(T value)
	{
		return *this = (T)(model::get(this) | value);
	}
	T operator&=(T value)
	{
		return *this = (T)(model::get(this) & value);
	}
	T operator++(int)
	{
		T value = model::get(this);

		*this = value + 1;
		return value;
	}
	T operator--(int)
	{
		T value = model::get(this);

		*this = value - 1;
		return value;
	}
};

/* ---- the operations ---- */

namespace model
{

template <class T>
inline void store(sc_shared<T, true> *word, typename same<T>::type value, rl::memory_order order,
		  rl::debug_info at)
{
	keep_self self;

	point();
	if (!dropped(at))
		cell_of(word)->store(bits_of(value), mutated(order, at), at);
}

/* The relaxed read of a dropped read-modify-write. */
template <class T> inline T left_as_is(sc_shared<T, true> *word, rl::debug_info at)
{
	return value_of<T>(cell_of(word)->load(rl::mo_relaxed, at));
}

#define MODEL_RMW(name, operation)                                                                 \
	template <class T>                                                                         \
	inline T name(sc_shared<T, true> *word, typename same<T>::type value,                      \
		      rl::memory_order order, rl::debug_info at)                                   \
	{                                                                                          \
		keep_self self;                                                                    \
                                                                                                   \
		point();                                                                           \
		if (dropped(at))                                                                   \
			return left_as_is(word, at);                                               \
		order = mutated(order, at);                                                        \
		return value_of<T>(cell_of(word)->operation(bits_of(value), order, at));           \
	}
MODEL_RMW(add, fetch_add)
MODEL_RMW(sub, fetch_sub)
MODEL_RMW(bit_or, fetch_or)
MODEL_RMW(bit_and, fetch_and)
MODEL_RMW(swap, exchange)

template <class T, class E>
inline bool cas(sc_shared<T, true> *word, E *expected, typename same<T>::type value,
		rl::memory_order order, rl::debug_info at)
{
	typename unsigned_of<sizeof(T)>::type bits = bits_of((T)*expected);
	keep_self self;
	bool done;

	point();
	order = mutated(order, at);
	if (dropped(at))
		value = (T)*expected;
	/* base/atomic.h: a failed cas_acqrel acquires, the others are relaxed then. */
	done = cell_of(word)->compare_exchange_strong(
		bits, bits_of(value), order, at,
		order == rl::mo_acq_rel || order == rl::mo_seq_cst ? rl::mo_acquire
								   : rl::mo_relaxed,
		at);
	*expected = (E)value_of<T>(bits);
	return done;
}

inline void fence(rl::debug_info at)
{
	keep_self self;

	point();
	if (!dropped(at))
		rl::atomic_thread_fence(rl::mo_seq_cst, at);
}

} // namespace model

#define MODEL_HERE rl::debug_info(__FUNCTION__, __FILE__, __LINE__)

#define at_load_rlx(p)       model::load((p), rl::mo_relaxed, MODEL_HERE)
#define at_load_acq(p)       model::load((p), rl::mo_acquire, MODEL_HERE)
#define at_store_rlx(p, v)   model::store((p), (v), rl::mo_relaxed, MODEL_HERE)
#define at_store_rel(p, v)   model::store((p), (v), rl::mo_release, MODEL_HERE)
#define at_add_rlx(p, v)     model::add((p), (v), rl::mo_relaxed, MODEL_HERE)
#define at_add_rel(p, v)     model::add((p), (v), rl::mo_release, MODEL_HERE)
#define at_add_acqrel(p, v)  model::add((p), (v), rl::mo_acq_rel, MODEL_HERE)
#define at_add_sc(p, v)      model::add((p), (v), rl::mo_seq_cst, MODEL_HERE)
#define at_sub_rlx(p, v)     model::sub((p), (v), rl::mo_relaxed, MODEL_HERE)
#define at_sub_rel(p, v)     model::sub((p), (v), rl::mo_release, MODEL_HERE)
#define at_sub_acqrel(p, v)  model::sub((p), (v), rl::mo_acq_rel, MODEL_HERE)
#define at_or_rlx(p, v)      model::bit_or((p), (v), rl::mo_relaxed, MODEL_HERE)
#define at_or_acq(p, v)      model::bit_or((p), (v), rl::mo_acquire, MODEL_HERE)
#define at_or_rel(p, v)      model::bit_or((p), (v), rl::mo_release, MODEL_HERE)
#define at_and_rlx(p, v)     model::bit_and((p), (v), rl::mo_relaxed, MODEL_HERE)
#define at_and_rel(p, v)     model::bit_and((p), (v), rl::mo_release, MODEL_HERE)
#define at_swap_acqrel(p, v) model::swap((p), (v), rl::mo_acq_rel, MODEL_HERE)
#define at_cas_rlx(p, e, v)  model::cas((p), (e), (v), rl::mo_relaxed, MODEL_HERE)
#define at_cas_acq(p, e, v)  model::cas((p), (e), (v), rl::mo_acquire, MODEL_HERE)
#define at_cas_rel(p, e, v)  model::cas((p), (e), (v), rl::mo_release, MODEL_HERE)
#define at_cas_acqrel(p, e, v) model::cas((p), (e), (v), rl::mo_acq_rel, MODEL_HERE)
#define at_fence_sc()        model::fence(MODEL_HERE)
#define at_signal_fence()    model::point()

/* ---- files of the runtime that are compiled each on its own, as C++ ---- */

#ifdef MODEL_RUNTIME
/* What C++98 lacks, its words that are names in C, and what is written in assembly. */
#define _Static_assert(condition, text)
#define public public_
extern "C" {
#include "arch/arch.h"
}
#endif

#endif
