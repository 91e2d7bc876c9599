/* tests/crash/crash.h: a program in a process of its own, what it must say and how it must end. */
#ifndef SC_TESTS_CRASH_H
#define SC_TESTS_CRASH_H

#include "harness.h"

#include <signal.h>

#include <scope.h>

/* How a process ended: by a signal, or with an exit status. */
#define BY_SIGNAL(signal) (-(signal))
#define BY_EXIT(status)   (status)

/* Runs `program` in a child process.  It must end as `how` says, and its standard error must
 * match each regular expression (extended, `.` matches no line end; NULL ends the list).  One
 * that starts with '!' must not match. */
void crash_expect(void (*program)(void), int how, const char *const regexps[]);

#define DIES(program, how, ...) crash_expect(program, how, (const char *const[]){__VA_ARGS__, NULL})

/* For programs: */

/* What scope_run(main_task) returned, as the exit status; a negative errno value as 100 + it. */
void run_and_exit(scope_task_fn *main_task, const struct scope_config *config);
/* Ends the process with a message that no expression expects. */
void fail_if(int condition, const char *text);

#endif
