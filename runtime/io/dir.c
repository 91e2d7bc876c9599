/* runtime/io/dir.c: directories, read as a whole on the pool of threads: rule N2. */
#include "os/file.h"
#include "scope/tree.h"

#include <errno.h>
#include <scope_file.h>
#include <scope_offload.h>
#include <string.h>

struct node {
	struct node *next;
	struct scope_dir_entry entry;
	char name[];
};

/* Owned by the call that reads it until that has returned. */
struct scope_dir {
	struct node *first, **last;
	struct node *following; /* of scope_dir_next */
	char path[];
};

static struct scope_dir *new_dir(const char *path)
{
	const size_t size = strlen(path) + 1;
	struct scope_dir *dir = sc_os.alloc(sizeof *dir + size);

	if (!dir)
		return NULL;
	*dir = (struct scope_dir){.first = NULL};
	dir->last = &dir->first;
	memcpy(dir->path, path, size);
	return dir;
}

void scope_dir_free(struct scope_dir *dir)
{
	struct node *node, *next;

	if (!dir)
		return;
	for (node = dir->first; node; node = next) {
		next = node->next;
		sc_os.free(node);
	}
	sc_os.free(dir);
}

static int add_entry(const char *name, enum sc_file_kind kind, uint64_t inode, void *arg)
{
	const size_t size = strlen(name) + 1;
	struct node *node = sc_os.alloc(sizeof *node + size);
	struct scope_dir *dir = arg;

	if (!node)
		return -ENOMEM;
	memcpy(node->name, name, size);
	node->next = NULL;
	node->entry = (struct scope_dir_entry){
		.name = node->name, .kind = (uint32_t)kind, .inode = inode};
	*dir->last = node;
	dir->last = &node->next;
	return 0;
}

static int read_dir(void *arg)
{
	struct scope_dir *dir = arg;

	return sc_os_dir_read(dir->path, add_entry, dir);
}

static void drop_dir(void *arg, int result)
{
	(void)result;
	scope_dir_free(arg);
}

int scope_dir_read(const char *path, struct scope_dir **out_dir)
{
	const struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_ABANDON,
						      .drop = drop_dir};
	struct scope_dir *dir;
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_dir_read");
	if (!path || !out_dir)
		return -EINVAL;
	dir = new_dir(path);
	if (!dir)
		return -ENOMEM;
	rc = scope_offload(read_dir, dir, &options);
	if (rc == 0) {
		dir->following = dir->first;
		*out_dir = dir;
	} else if (rc != -ECANCELED && rc != -ESHUTDOWN) {
		scope_dir_free(dir);
	}
	return rc;
}

const struct scope_dir_entry *scope_dir_next(struct scope_dir *dir)
{
	struct node *node = dir->following;

	if (!node)
		return NULL;
	dir->following = node->next;
	return &node->entry;
}
