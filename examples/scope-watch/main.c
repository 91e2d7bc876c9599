/* examples/scope-watch/main.c: runs commands and starts them again when they end.
 *
 * Usage: scope-watch [-s one|all|rest] [-k permanent|transient|temporary] [-n RESTARTS]
 *                    [-p PERIOD_MS] [-b PAUSE_MS] [-g GRACE_MS] NAME=COMMAND...
 *
 *   -s  what is started again: the command that ended, all, or it and those behind it (one)
 *   -k  when: always, after a status other than 0, never (transient)
 *   -n  so many restarts (3) within
 *   -p  so long (60,000 ms); one more, and all are stopped
 *   -b  the pause before a restart, doubled each time (100 ms)
 *   -g  from SIGTERM to SIGKILL when a command is to stop (2,000 ms)
 *
 * Each command is run by sh, in a process group of its own.  Ctrl-C or SIGTERM stops them, the
 * last one first; Ctrl-\ shows the tree.
 *
 * Exit 0: all have ended by themselves or by a signal to scope-watch; 1: they ended too often, or
 * one that was not to be started again failed; 2: usage, or the run failed.
 */
#include "../args.h"
#include <scope_offload.h>
#include <scope_supervise.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct command {
	const char *name, *text;
	pid_t pid;     /* leads its group, until it is reaped */
	bool was_told; /* to stop */
};

struct watch {
	struct scope_supervise_options options;
	struct command *commands;
	size_t count;
	int result; /* what the scope of all returned */
};

static void say(const struct command *command, const char *what, int number)
{
	printf("%s: ", command->name);
	printf(what, number);
	printf("\n");
	fflush(stdout);
}

/* ---- a command ------------------------------------------------------------------------------- */

/* The workers have signals blocked, which the program is not to inherit. */
static int start_process(struct command *command)
{
	char *argv[] = {"sh", "-c", (char *)(uintptr_t)command->text, NULL};
	posix_spawnattr_t how;
	sigset_t none;
	int rc;

	sigemptyset(&none);
	posix_spawnattr_init(&how);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setpgroup(&how, 0);
	rc = posix_spawn(&command->pid, "/bin/sh", NULL, &how, argv, environ);
	posix_spawnattr_destroy(&how);
	return -rc;
}

/* On a thread of its own.  It stays a zombie, so that its number means nobody else. */
static int wait_for_process(void *arg)
{
	struct command *command = arg;
	siginfo_t info;

	while (waitid(P_PID, (id_t)command->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	return 0;
}

static void stop_process(struct command *command, int signal)
{
	kill(-command->pid, signal);
}

/* Beside the process: hands on what the supervisor says.  When the process has ended the end of
 * this kills what it left behind. */
static int listen(void *arg)
{
	struct command *command = arg;
	int rc;

	scope_soft_begin();
	rc = scope_sleep_until(SCOPE_NEVER);
	scope_soft_end();
	if (rc == -ESHUTDOWN) {
		command->was_told = true;
		say(command, "is told to stop", 0);
		stop_process(command, SIGTERM);
		scope_sleep_until(SCOPE_NEVER);
	}
	stop_process(command, SIGKILL);
	return 0;
}

static int status_of(const struct command *command, int status)
{
	if (WIFSIGNALED(status))
		say(command, "ended by signal %d", WTERMSIG(status));
	else
		say(command, "ended with status %d", WEXITSTATUS(status));
	if (command->was_told)
		return 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The task: as long as the process runs. */
static int run_command(void *arg)
{
	struct scope_options shield = {.shield = true};
	struct command *command = arg;
	struct scope beside, aside;
	int rc = start_process(command), status = 0;

	if (rc < 0)
		return rc;
	command->was_told = false;
	say(command, "started", 0);
	scope_open(&beside);
	if (scope_spawn(&beside, listen, command) < 0)
		stop_process(command, SIGKILL);
	scope_open_with(&aside, &shield); /* it is waited for, whatever happens */
	if (scope_offload(wait_for_process, command, NULL) < 0)
		stop_process(command, SIGKILL);
	scope_close(&aside);
	command->was_told |= scope_cancelled();
	scope_cancel(&beside);
	scope_close(&beside);
	waitpid(command->pid, &status, 0);
	return status_of(command, status);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int watch_all(void *arg)
{
	struct watch *watch = arg;
	struct scope_spawner spawner;
	struct scope s;
	size_t i;
	int rc;

	scope_open(&s);
	rc = scope_fail(&s, scope_supervise(&s, &watch->options, &spawner), NULL);
	for (i = 0; rc == 0 && i < watch->count; i++) {
		struct scope_spawn_options named = {.name = watch->commands[i].name};

		rc = scope_spawner_spawn_with(&spawner, run_command, &watch->commands[i], &named);
	}
	rc = scope_close(&s);
	watch->result = rc == -ECANCELED ? 0 : rc;
	if (watch->result != 0)
		scope_error_print(scope_last_error(), stderr);
	return 0;
}

/* The index of a word in a list; -1: it is none of them. */
static int find(const char *word, const char *const *words, int count)
{
	while (--count >= 0 && strcmp(word, words[count]) != 0)
		;
	return count;
}

/* False: usage. */
static bool parse(struct watch *watch, int argc, char **argv)
{
	static const char *const strategies[] = {"one", "all", "rest"};
	static const char *const kinds[] = {"permanent", "transient", "temporary"};
	struct scope_supervise_options *options = &watch->options;
	int option, i, strategy = 0, kind = 1;
	long long number;
	bool good = true;

	while (good && (option = getopt(argc, argv, "s:k:n:p:b:g:")) != -1) {
		switch (option) {
		case 's': strategy = find(optarg, strategies, 3); break;
		case 'k': kind = find(optarg, kinds, 3); break;
		case 'n':
			good = args_number(optarg, UINT32_MAX, &number);
			options->max_restarts = (unsigned)number;
			break;
		case 'p': good = args_time(optarg, SCOPE_MS, &options->period_ns); break;
		case 'b': good = args_time(optarg, SCOPE_MS, &options->backoff_ns); break;
		case 'g': good = args_time(optarg, SCOPE_MS, &options->grace_ns); break;
		default: return false;
		}
	}
	for (i = optind; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (!equals)
			return false;
		*equals = '\0';
		watch->commands[watch->count++] = (struct command){argv[i], equals + 1, 0, false};
	}
	options->strategy = (unsigned)strategy;
	options->restart = (unsigned)kind + 1; /* as the enumerations have them */
	return good && strategy >= 0 && kind >= 0 && watch->count > 0;
}

static const char usage[] =
	"usage: scope-watch [-s one|all|rest] [-k permanent|transient|temporary] [-n RESTARTS]\n"
	"                   [-p PERIOD_MS] [-b PAUSE_MS] [-g GRACE_MS] NAME=COMMAND...\n"
	"Runs commands and starts them again when they end; see scope-watch(1).\n";

int main(int argc, char **argv)
{
	struct watch watch = {.options = {
		.name = "watch", .max_restarts = 3, .period_ns = 60 * SCOPE_SEC,
		.backoff_ns = 100 * SCOPE_MS, .grace_ns = 2 * SCOPE_SEC}};
	int signal, rc;
	struct scope_config config = {.out_signal = &signal};

	if (args_help(argc, argv, usage))
		return 0;
	watch.commands = calloc((size_t)argc, sizeof *watch.commands);
	if (!watch.commands || !parse(&watch, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	rc = scope_run(watch_all, &watch, &config);
	free(watch.commands);
	if (rc != 0 && rc != -ECANCELED)
		return 2;
	return watch.result ? 1 : 0;
}
