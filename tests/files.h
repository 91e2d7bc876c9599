/* tests/files.h: where tests put files, and what the process has open. */
#ifndef SC_TESTS_FILES_H
#define SC_TESTS_FILES_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEMPORARY_SIZE = 256 };

/* For mkdtemp and mkstemp: a path in TMPDIR, or else in /tmp, that ends in the Xs they replace. */
static inline void temporary(char path[TEMPORARY_SIZE], const char *name)
{
	const char *where = getenv("TMPDIR");

	snprintf(path, TEMPORARY_SIZE, "%s/scope-%s-XXXXXX", where && *where ? where : "/tmp",
		 name);
}

/* What is in a directory, which is there. */
static inline int entries(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	if (!dir)
		abort();
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static inline int open_files(void)
{
	return entries("/proc/self/fd");
}

static inline int mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	int count = 0, c;

	if (!file)
		abort();
	while ((c = getc(file)) != EOF)
		count += c == '\n';
	fclose(file);
	return count;
}

#endif
