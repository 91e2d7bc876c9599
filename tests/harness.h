/* tests/harness.h: the macros of a test -- Criterion's, or those of the shim.
 *
 * With SC_TEST_SHIM the program is linked with tests/shim.c instead of Criterion, which
 * starts its tests in a way that ThreadSanitizer, valgrind and the simulation can't follow.
 * A test uses only what both offer:
 *
 *   Test(suite, name, .timeout = seconds, .signal = SIGABRT, .exit_code = 1)
 *   TestSuite(suite, .timeout = seconds)
 *   cr_assert… ends the test, cr_expect… goes on; each takes an optional printf message
 *   cr_skip("reason")
 */
#ifndef SC_TESTS_HARNESS_H
#define SC_TESTS_HARNESS_H

/* Set under a checker, which reads and writes below the stack pointer and keeps much for each
 * stack.  SC_TEST_SHIM alone only says that the build is slow. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SC_TEST_CHECKED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(SC_VALGRIND)
#define SC_TEST_CHECKED 1
#endif

#ifndef SC_TEST_SHIM
#include <criterion/criterion.h>
#else

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The options of Criterion that have a meaning here; zero means default. */
struct sc_test_options {
	void (*init)(void);
	void (*fini)(void);
	int signal;    /* the test must die of this signal */
	int exit_code; /* the test must exit with this status */
	bool disabled;
	const char *description;
	double timeout; /* seconds */
};

/* One registered test, or the defaults of a suite (function is NULL). */
struct sc_test {
	const char *suite;
	const char *name;
	void (*function)(void);
	struct sc_test_options options;
	struct sc_test *next;
};

void sc_test_register(struct sc_test *test);
/* Records a failure; does not return if `fatal`.  The first character of format is dropped:
 * it is there so that a message may be left out. */
void sc_test_fail(const char *file, int line, int fatal, const char *expression, const char *format,
		  ...) __attribute__((format(printf, 5, 6)));
void sc_test_skip(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Called after a failure was printed and before the test ends, NULL for nothing.  May print
 * more (a seed) or leave by longjmp. */
extern void (*sc_test_on_fail)(int fatal);
/* Set: called instead of run(test), which runs it once with its init and fini. */
extern void (*sc_test_around)(struct sc_test *test, void (*run)(struct sc_test *test));

#define Test(suite_, name_, ...)                                                                   \
	static void suite_##_##name_##_body(void);                                                 \
	static struct sc_test suite_##_##name_##_test = {#suite_,                                  \
							 #name_,                                   \
							 suite_##_##name_##_body,                  \
							 {__VA_ARGS__},                            \
							 NULL};                                    \
	__attribute__((constructor)) static void suite_##_##name_##_enter(void)                    \
	{                                                                                          \
		sc_test_register(&suite_##_##name_##_test);                                        \
	}                                                                                          \
	static void suite_##_##name_##_body(void)

#define TestSuite(suite_, ...)                                                                     \
	static struct sc_test suite_##_suite = {#suite_, "", NULL, {__VA_ARGS__}, NULL};           \
	__attribute__((constructor)) static void suite_##_suite_enter(void)                        \
	{                                                                                          \
		sc_test_register(&suite_##_suite);                                                 \
	}                                                                                          \
	struct sc_test

#define SC_TEST_CHECK(fatal, condition, text, ...)                                                 \
	do {                                                                                       \
		if (!(condition))                                                                  \
			sc_test_fail(__FILE__, __LINE__, fatal, text, __VA_ARGS__);                \
	} while (0)
#define SC_TEST_OP(fatal, a, op, b, ...)                                                           \
	SC_TEST_CHECK(fatal, (a)op(b), #a " " #op " " #b, __VA_ARGS__)
#define SC_TEST_STR(fatal, a, op, b, ...)                                                          \
	SC_TEST_CHECK(fatal, strcmp((a), (b)) op 0, #a " " #op " " #b, __VA_ARGS__)
#define SC_TEST_MEM(fatal, a, op, b, size, ...)                                                    \
	SC_TEST_CHECK(fatal, memcmp((a), (b), (size)) op 0, #a " " #op " " #b, __VA_ARGS__)

#define cr_skip(...)      sc_test_skip(" " __VA_ARGS__)
#define cr_skip_test(...) sc_test_skip(" " __VA_ARGS__)

#define cr_assert_fail(...)           SC_TEST_CHECK(1, 0, "fail", " " __VA_ARGS__)
#define cr_fatal(...)                 SC_TEST_CHECK(1, 0, "fail", " " __VA_ARGS__)
#define cr_assert(c, ...)             SC_TEST_CHECK(1, c, #c, " " __VA_ARGS__)
#define cr_assert_not(c, ...)         SC_TEST_CHECK(1, !(c), "not " #c, " " __VA_ARGS__)
#define cr_assert_eq(a, b, ...)       SC_TEST_OP(1, a, ==, b, " " __VA_ARGS__)
#define cr_assert_neq(a, b, ...)      SC_TEST_OP(1, a, !=, b, " " __VA_ARGS__)
#define cr_assert_lt(a, b, ...)       SC_TEST_OP(1, a, <, b, " " __VA_ARGS__)
#define cr_assert_leq(a, b, ...)      SC_TEST_OP(1, a, <=, b, " " __VA_ARGS__)
#define cr_assert_gt(a, b, ...)       SC_TEST_OP(1, a, >, b, " " __VA_ARGS__)
#define cr_assert_geq(a, b, ...)      SC_TEST_OP(1, a, >=, b, " " __VA_ARGS__)
#define cr_assert_null(a, ...)        SC_TEST_OP(1, a, ==, NULL, " " __VA_ARGS__)
#define cr_assert_not_null(a, ...)    SC_TEST_OP(1, a, !=, NULL, " " __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)   SC_TEST_STR(1, a, ==, b, " " __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)  SC_TEST_STR(1, a, !=, b, " " __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) SC_TEST_MEM(1, a, ==, b, n, " " __VA_ARGS__)

#define cr_fail(...)                  SC_TEST_CHECK(0, 0, "fail", " " __VA_ARGS__)
#define cr_expect(c, ...)             SC_TEST_CHECK(0, c, #c, " " __VA_ARGS__)
#define cr_expect_not(c, ...)         SC_TEST_CHECK(0, !(c), "not " #c, " " __VA_ARGS__)
#define cr_expect_eq(a, b, ...)       SC_TEST_OP(0, a, ==, b, " " __VA_ARGS__)
#define cr_expect_neq(a, b, ...)      SC_TEST_OP(0, a, !=, b, " " __VA_ARGS__)
#define cr_expect_lt(a, b, ...)       SC_TEST_OP(0, a, <, b, " " __VA_ARGS__)
#define cr_expect_leq(a, b, ...)      SC_TEST_OP(0, a, <=, b, " " __VA_ARGS__)
#define cr_expect_gt(a, b, ...)       SC_TEST_OP(0, a, >, b, " " __VA_ARGS__)
#define cr_expect_geq(a, b, ...)      SC_TEST_OP(0, a, >=, b, " " __VA_ARGS__)
#define cr_expect_null(a, ...)        SC_TEST_OP(0, a, ==, NULL, " " __VA_ARGS__)
#define cr_expect_not_null(a, ...)    SC_TEST_OP(0, a, !=, NULL, " " __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)   SC_TEST_STR(0, a, ==, b, " " __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...)  SC_TEST_STR(0, a, !=, b, " " __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) SC_TEST_MEM(0, a, ==, b, n, " " __VA_ARGS__)

#endif
#endif
