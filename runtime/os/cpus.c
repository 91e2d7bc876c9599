/* runtime/os/cpus.c: how many processors this process may use. */
#include "os/os.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

/* The quota of one cgroup in whole processors; UINT_MAX: none. */
static unsigned cgroup_quota(const char *directory)
{
	unsigned long long quota, period;
	unsigned result = UINT_MAX;
	char path[PATH_MAX + 16];
	FILE *file;

	snprintf(path, sizeof(path), "%s/cpu.max", directory);
	file = fopen(path, "re");
	if (!file)
		return UINT_MAX;
	/* "max 100000" when there is no limit */
	if (fscanf(file, "%llu %llu", &quota, &period) == 2 && period > 0)
		result = (unsigned)((quota + period - 1) / period);
	fclose(file);
	return result;
}

unsigned sc_os_quota(const char *mount, const char *path)
{
	size_t root = strlen(mount);
	unsigned least = UINT_MAX;
	char directory[PATH_MAX];

	if ((size_t)snprintf(directory, sizeof(directory), "%s%s", mount, path) >=
	    sizeof(directory))
		return UINT_MAX;
	for (;;) {
		unsigned quota = cgroup_quota(directory);
		char *slash = strrchr(directory, '/');

		if (quota < least)
			least = quota;
		if (!slash || slash < directory + root)
			return least;
		*slash = '\0';
	}
}

/* The process's path in the unified hierarchy.  0 or -1. */
static int own_cgroup(char *path, size_t size)
{
	char line[PATH_MAX];
	FILE *file = fopen("/proc/self/cgroup", "re");
	int found = -1;

	if (!file)
		return -1;
	while (found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) == 0) {
			snprintf(path, size, "%s", line + 3);
			found = 0;
		}
	}
	fclose(file);
	return found;
}

/* Where the unified hierarchy is mounted, and which of its cgroups is the mount's root.
 * Both buffers hold PATH_MAX bytes.  0 or -1. */
static int cgroup_mount(char *mount, char *root)
{
	char line[2 * PATH_MAX + 256];
	FILE *file = fopen("/proc/self/mountinfo", "re");
	int found = -1;

	if (!file)
		return -1;
	while (found && fgets(line, sizeof(line), file)) {
		if (!strstr(line, " - cgroup2 "))
			continue;
		if (sscanf(line, "%*s %*s %*s %4095s %4095s", root, mount) == 2)
			found = 0;
	}
	fclose(file);
	return found;
}

unsigned sc_os_processors(void)
{
	char mount[PATH_MAX], root[PATH_MAX], path[PATH_MAX];
	const char *below = path;
	unsigned count = uv_available_parallelism(), quota; /* the affinity */

	if (own_cgroup(path, sizeof(path)) == 0 && cgroup_mount(mount, root) == 0) {
		size_t length = strlen(root);

		/* A container may see its own cgroup as the root of the mount. */
		if (length > 1 && strncmp(path, root, length) == 0)
			below += length;
		if (strcmp(below, "/") == 0 || strncmp(below, "/..", 3) == 0)
			below = "";
		quota = sc_os_quota(mount, below);
		if (quota < count)
			count = quota;
	}
	return count ? count : 1;
}
