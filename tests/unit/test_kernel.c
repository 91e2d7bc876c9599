/* tests/unit/test_kernel.c: other kernels than this one: without guard regions, in containers,
 * with files that are absent or broken.
 *
 * madvise, fopen, open and pidfd_open are these here, for the whole program; they do what the C
 * library's do until a test asks for something else, always in a child.
 */
#define _GNU_SOURCE
#include "harness.h"

#include "base/base.h"
#include "fiber/sanitizer.h"
#include "files.h"
#include "os/os.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <scope_net.h>
#include <scope_process.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(kernel, .timeout = 60);

enum { ADVICE_POPULATE_READ = 22, ADVICE_GUARD_INSTALL = 102 };

/* ---- the calls that can be told what to do ---------------------------------------------- */

static int (*advise)(int advice); /* -1: fail with errno, 0: do nothing, 1: ask the kernel */
static const char *other_file; /* what open opens in place of other_path */
static const char *other_path;
static const struct text {
	const char *path, *text; /* text NULL: there is no such file */
} *texts;

int madvise(void *memory, size_t size, int advice)
{
	int what = advise ? advise(advice) : 1;

	return what > 0 ? (int)syscall(SYS_madvise, memory, size, advice) : what;
}

int open(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	if (other_path && strcmp(path, other_path) == 0)
		path = other_file;
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static int opens_late; /* a process is waited for before it is opened */

int pidfd_open(pid_t pid, unsigned flags)
{
	if (opens_late)
		waitpid(pid, NULL, 0);
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

FILE *fopen(const char *path, const char *mode)
{
	static FILE *(*real)(const char *, const char *);
	const struct text *each;

	for (each = texts; each && each->path; each++) {
		if (strcmp(each->path, path) != 0)
			continue;
		if (!each->text)
			return NULL;
		return fmemopen((void *)(uintptr_t)each->text, strlen(each->text), "r");
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fopen");
	return real(path, mode);
}

/* A child starts as a kernel would show itself to it; its exit status, or minus its signal. */
static int in_child(int (*run)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL);
		alarm(30);
		_exit(run());
	}
	cr_assert(pid > 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- guards ----------------------------------------------------------------------------- */

static int refuses_guards(int advice)
{
	if (advice != ADVICE_GUARD_INSTALL)
		return 1;
	errno = EINVAL;
	return -1;
}

/* Accepts every advice; takes none about guards. */
static int is_an_emulator(int advice)
{
	return advice == ADVICE_GUARD_INSTALL || advice == ADVICE_POPULATE_READ ? 0 : 1;
}

static int lacks_memory(int advice)
{
	if (advice != ADVICE_GUARD_INSTALL)
		return 1;
	errno = ENOMEM;
	return -1;
}

static char *pages(size_t count)
{
	char *memory = sc_os.reserve(count * sc_os_page_size());

	if (!memory || sc_os.commit(memory, count * sc_os_page_size()))
		_exit(99);
	return memory;
}

static int guard_and_touch(void)
{
	char *memory = pages(2);

	if (sc_os.guard(memory, sc_os_page_size()))
		return 1;
	*(volatile char *)(memory + sc_os_page_size()) = 1;
	*(volatile char *)memory = 1;
	return 2;
}

static int touch_without_guard_regions(void)
{
	advise = refuses_guards;
	return guard_and_touch();
}

static int touch_in_an_emulator(void)
{
	advise = is_an_emulator;
	return guard_and_touch();
}

Test(kernel, without_guard_regions_a_guard_is_a_protected_page)
{
	cr_expect_eq(in_child(touch_without_guard_regions), -SIGSEGV);
}

Test(kernel, a_guard_that_an_emulator_only_claims_is_not_believed)
{
	cr_expect_eq(in_child(touch_in_an_emulator), -SIGSEGV);
}

/* Guards that 100 mappings allow: half of them and one more, at two a guard. */
static int use_up_mappings(void)
{
	static const struct text few[] = {{"/proc/sys/vm/max_map_count", "100\n"}, {NULL, NULL}};
	size_t page = sc_os_page_size();
	char *memory = pages(100);
	int i;

	advise = refuses_guards;
	texts = few;
	for (i = 0; i < 25; i++)
		if (sc_os.guard(memory + 2 * i * page, page))
			return 1 + i;
	if (sc_os.guard(memory + 60 * page, page) != -ENOMEM)
		return 50;
	sc_os.unguard(1);
	return sc_os.guard(memory + 60 * page, page) ? 51 : 0;
}

Test(kernel, protected_pages_leave_half_of_the_mappings_to_the_program)
{
	cr_expect_eq(in_child(use_up_mappings), 0);
}

static int many_guards(const struct text *limit)
{
	size_t page = sc_os_page_size();
	char *memory = pages(400);
	int i;

	advise = refuses_guards;
	texts = limit;
	for (i = 0; i < 200; i++)
		if (sc_os.guard(memory + 2 * i * page, page))
			return 1;
	return 0;
}

static int no_limit_told(void)
{
	static const struct text none[] = {{"/proc/sys/vm/max_map_count", NULL}, {NULL, NULL}};

	return many_guards(none);
}

static int limit_is_no_number(void)
{
	static const struct text odd[] = {{"/proc/sys/vm/max_map_count", "?\n"}, {NULL, NULL}};

	return many_guards(odd);
}

Test(kernel, without_a_known_limit_of_mappings_the_usual_one_counts)
{
	cr_expect_eq(in_child(no_limit_told), 0);
	cr_expect_eq(in_child(limit_is_no_number), 0);
}

static int first_guard_lacks_memory(void)
{
	char *memory = pages(2);

	advise = lacks_memory;
	if (sc_os.guard(memory, sc_os_page_size()) != -ENOMEM)
		return 1;
	/* Nothing was decided by that. */
	advise = NULL;
	return guard_and_touch();
}

static int guards_nothing(void)
{
	char *memory = pages(2);
	size_t page = sc_os_page_size();

	sc_os.release(memory, 2 * page);
	if (sc_os.commit(memory, 2 * page) != -ENOMEM)
		return 1;
	if (!sc_os.guard(memory, page))
		return 2;
	advise = refuses_guards;
	if (sc_os.guard(memory, page) != -ENOMEM)
		return 3;
	if (sc_os.reserve((size_t)1 << 60))
		return 4;
	return -guard_and_touch();
}

static int later_guard_fails(void)
{
	char *memory = pages(2);
	size_t page = sc_os_page_size();

	if (sc_os.guard(memory, page))
		return 1;
	advise = lacks_memory;
	return sc_os.guard(memory + page, page) == -ENOMEM ? 0 : 2;
}

Test(kernel, a_guard_that_fails_says_why)
{
	cr_expect_eq(in_child(first_guard_lacks_memory), -SIGSEGV);
	/* An emulator may take any advice for any address. */
	if (madvise(NULL, sc_os_page_size(), -1) == 0)
		cr_skip("advice is ignored here");
	cr_expect_eq(in_child(guards_nothing), -SIGSEGV);
	cr_expect_eq(in_child(later_guard_fails), 0);
}

/* ---- processors ------------------------------------------------------------------------- */

static unsigned processors(const char *cgroup, const char *mounts, const char *quota)
{
	struct text files[] = {{"/proc/self/cgroup", cgroup},
			       {"/proc/self/mountinfo", mounts},
			       {"/no/such/mount/cpu.max", NULL},
			       {"/no/such/mount/inner/cpu.max", quota},
			       {NULL, NULL}};
	unsigned count;

	texts = files;
	count = sc_os_processors();
	texts = NULL;
	return count;
}

#define MOUNT(root) "36 25 0:30 " root " /no/such/mount rw - cgroup2 cgroup rw\n"

static int counts_processors(void)
{
	const char *quota = "100000 100000\n";
	unsigned all;

	sc_os_processors();
	all = processors(NULL, NULL, NULL);
	if (all < 1)
		return 1;
	/* Only the first kind of path leads to the group with the quota. */
	if (processors("1:name=systemd:/x\n0::/inner\n", "1 2 3\n" MOUNT("/"), quota) != 1)
		return 2;
	if (processors("0::/pod/inner\n", MOUNT("/pod"), quota) != 1)
		return 3;
	if (processors("0::/other/inner\n", MOUNT("/pod"), quota) != all)
		return 4;
	if (processors("0::/../inner\n", MOUNT("/"), quota) != all)
		return 5;
	if (processors("0::/\n", MOUNT("/"), quota) != all)
		return 6;
	if (processors("1:cpu:/inner\n", MOUNT("/"), quota) != all)
		return 7;
	if (processors("0::/inner\n", NULL, quota) != all)
		return 8;
	if (processors("0::/inner\n", "1 2 - cgroup2 \n", quota) != all)
		return 9;
	if (processors("0::/inner\n", MOUNT("/"), "max 100000\n") != all)
		return 10;
	if (processors("0::/inner\n", MOUNT("/"), "5 0\n") != all)
		return 11;
	/* Less than nothing is still one. */
	return processors("0::/inner\n", MOUNT("/"), "0 100000\n") == 1 ? 0 : 12;
}

Test(kernel, a_quota_is_found_from_inside_a_container)
{
	cr_expect_eq(in_child(counts_processors), 0);
}

static int asks_a_very_long_path(void)
{
	static char path[PATH_MAX + 10];

	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	return sc_os_quota("", path) == UINT_MAX ? 0 : 1;
}

Test(kernel, a_path_too_long_for_the_kernel_has_no_quota)
{
	cr_expect_eq(in_child(asks_a_very_long_path), 0);
}

/* ---- names in broken files -------------------------------------------------------------- */

#ifndef SC_CHECKED /* which has functions of the C library that the dynamic linker does not know */
static char image[8 << 20]; /* a library that nobody asked about before, to be damaged */
static size_t image_size;
static void *in_library;

/* What is said of in_library when its name is not known. */
static int says_where(const char *text)
{
	Dl_info info;
	char place[64];

	dladdr(in_library, &info);
	snprintf(place, sizeof(place), "libm.so.6+0x%zx",
		 (size_t)((char *)in_library - (char *)info.dli_fbase));
	return strcmp(text, place) == 0;
}

/* A function of a library whose file reads as `image`. */
static int names(const char *expected)
{
	char file[TEMPORARY_SIZE], text[64];
	int fd;

	temporary(file, "elf");
	fd = mkstemp(file);
	if (fd < 0 || write(fd, image, image_size) != (ssize_t)image_size)
		return 90;
	close(fd);
	other_file = file;
	sc_os_symbol(in_library, 0, text, sizeof(text));
	unlink(file);
	return expected ? strcmp(text, expected) != 0 : !says_where(text);
}

static void load(void)
{
	void *library = dlopen("libm.so.6", RTLD_NOW);
	Dl_info info;
	FILE *file;

	in_library = library ? dlsym(library, "feenableexcept") : NULL;
	if (!in_library || !dladdr(in_library, &info))
		_exit(98);
	other_path = strdup(info.dli_fname);
	file = fopen(other_path, "r");
	image_size = fread(image, 1, sizeof(image), file);
	fclose(file);
}

static ElfW(Ehdr) *header(void)
{
	return (ElfW(Ehdr) *)(void *)image;
}

static ElfW(Shdr) *section(unsigned type)
{
	ElfW(Shdr) *all = (ElfW(Shdr) *)(void *)(image + header()->e_shoff);
	unsigned i;

	for (i = 0; i < header()->e_shnum; i++)
		if (all[i].sh_type == type)
			return &all[i];
	_exit(97);
}

static int damage; /* which one */

static int reads_damaged_file(void)
{
	load();
	switch (damage) {
	case 0:
		image[1] = 'x';
		break;
	case 1:
		header()->e_shentsize--;
		break;
	case 2:
		header()->e_shoff = image_size - 10;
		break;
	case 3:
		header()->e_shoff = UINT64_MAX - 10;
		break;
	case 4:
		section(SHT_DYNSYM)->sh_link = header()->e_shnum;
		break;
	case 5:
		section(SHT_DYNSYM)->sh_size = image_size;
		break;
	case 6:
		section(SHT_DYNSYM)->sh_type = SHT_NOTE;
		break;
	case 7:
		image_size = 10;
		break;
	case 8:
		section(SHT_DYNSYM)->sh_size = 0;
		break;
	case 9:
		((ElfW(Shdr) *)(void *)(image + header()->e_shoff))
			[section(SHT_DYNSYM)->sh_link].sh_offset = image_size;
		break;
	case 10:
		((ElfW(Shdr) *)(void *)(image + header()->e_shoff))
			[section(SHT_DYNSYM)->sh_link].sh_size = 1;
		break;
	}
	return names(NULL);
}

static int reads_whole_file(void)
{
	load();
	return names("feenableexcept");
}

static int reads_no_file(void)
{
	char text[64];

	load();
	other_file = "/no/such/file";
	sc_os_symbol(in_library, 0, text, sizeof(text));
	return !says_where(text);
}

static void *no_alloc(size_t size)
{
	(void)size;
	return NULL;
}

static void *alloc_once(size_t size)
{
	sc_os.alloc = no_alloc;
	return sc_os_system.alloc(size);
}

static int reads_without_memory(void)
{
	load();
	sc_os.alloc = damage ? alloc_once : no_alloc;
	return names(NULL);
}

/* Whatever the header says, a name or an address comes out. */
static int reads_random_damage(void)
{
	unsigned i, seed = (unsigned)damage;

	load();
	for (i = 0; i < 4; i++) {
		size_t range = i % 2 ? sizeof(*header()) : header()->e_shnum * sizeof(ElfW(Shdr));
		size_t start = i % 2 ? 0 : header()->e_shoff;

		seed = seed * 1103515245 + 12345;
		if (start + (seed >> 8) % range < image_size)
			image[start + (seed >> 8) % range] = (char)(seed >> 16);
	}
	names(NULL);
	return 0;
}

Test(kernel, names_come_from_files_that_are_whole)
{
	cr_expect_eq(in_child(reads_whole_file), 0);
	cr_expect_eq(in_child(reads_no_file), 0);
	for (damage = 0; damage <= 10; damage++)
		cr_expect_eq(in_child(reads_damaged_file), 0, "damage %d", damage);
	for (damage = 0; damage <= 1; damage++)
		cr_expect_eq(in_child(reads_without_memory), 0, "allocation %d", damage);
}

Test(kernel, damaged_files_do_not_crash_a_report)
{
	for (damage = 1; damage <= 60; damage++)
		cr_expect_eq(in_child(reads_random_damage), 0, "seed %d", damage);
}
#endif

/* ---- processes ---------------------------------------------------------------------------- */

/* The line of the first check that fails, or 0. */
static int runs_what_ends_at_once(void *arg)
{
	const char *const argv[] = {"/bin/sh", "-c", "echo said", NULL};
	struct scope_conn *out;
	struct scope_process_options options = {.streams = {{0}, {SCOPE_STREAM_PIPE, 0, &out}}};
	struct scope_process p;
	char text[8] = "";
	struct scope s;
	size_t done;
	int status;

	(void)arg;
	scope_open(&s);
	if (scope_process_spawn(&s, argv, &options, &p))
		return __LINE__;
	if (scope_process_wait(&p, &status) != -ECHILD || scope_process_kill(&p, 0) != -ESRCH)
		return __LINE__;
	if (scope_conn_read(out, text, sizeof text, &done) || strcmp(text, "said\n") != 0)
		return __LINE__;
	scope_conn_close(out);
	if (scope_close(&s))
		return __LINE__;
	options.streams[1].kind = SCOPE_STREAM_NULL;
	return scope_process_run(argv, &options, &status) == -ECHILD ? 0 : __LINE__;
}

static int ends_at_once(void)
{
	opens_late = 1;
	return scope_run(runs_what_ends_at_once, NULL, NULL) != 0;
}

/* Its status was taken by somebody who waits for any child, and its number may be another's. */
Test(kernel, N6_a_process_that_ended_before_it_could_be_minded_is_left_alone)
{
	cr_assert_eq(in_child(ends_at_once), 0);
}
