/* runtime/os/symbol.c: names of functions, read from the ELF files they came from.
 *
 * dladdr knows dynamic symbols only; the functions that a program gives to tasks are
 * mostly static, and those are in .symtab.  A file is read once and its functions stay in
 * a sorted table; tables live as long as the process.
 */
#define _GNU_SOURCE
#include "base/lock.h"
#include "os/os.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct function {
	uintptr_t start; /* as in the file, before relocation */
	uintptr_t size;  /* 0: unknown, up to the next function */
	const char *name;
};

/* One loaded ELF file; const once in the list, lock: guard. */
struct object {
	struct object *next;
	uintptr_t base;
	struct function *functions; /* sorted by start */
	size_t count;
	const char *image; /* the mapped file, which holds the names */
	size_t image_size;
	char path[];       /* as the dynamic linker calls it; "" is the program */
};

static struct sc_lock guard;
static struct object *objects; /* lock: guard; one for each file ever asked about */

/* ---- reading a file ---- */

static int by_start(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	/* Of several names the look-up takes the last: one that knows its size. */
	return (x->size != 0) - (y->size != 0);
}

static void map_file(struct object *object, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *image;

	if (fd < 0)
		return;
	if (fstat(fd, &status) == 0 && (size_t)status.st_size > sizeof(ElfW(Ehdr))) {
		image = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (image != MAP_FAILED) {
			object->image = image;
			object->image_size = (size_t)status.st_size;
		}
	}
	close(fd);
}

static int lies_inside(const struct object *object, uint64_t offset, uint64_t size)
{
	return offset <= object->image_size && size <= object->image_size - offset;
}

/* The section of a type, whose bytes and whose linked strings lie inside the file. */
static const ElfW(Shdr) *find_section(const struct object *object, unsigned type)
{
	const ElfW(Ehdr) *header = (const void *)object->image;
	const ElfW(Shdr) *sections;
	size_t i;

	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_shentsize != sizeof(ElfW(Shdr)) ||
	    !lies_inside(object, header->e_shoff, (uint64_t)header->e_shnum * sizeof(ElfW(Shdr))))
		return NULL;
	sections = (const void *)(object->image + header->e_shoff);
	for (i = 0; i < header->e_shnum; i++) {
		const ElfW(Shdr) *section = &sections[i];

		if (section->sh_type == type && section->sh_link < header->e_shnum &&
		    lies_inside(object, section->sh_offset, section->sh_size) &&
		    lies_inside(object, sections[section->sh_link].sh_offset,
				sections[section->sh_link].sh_size))
			return section;
	}
	return NULL;
}

static void read_functions(struct object *object)
{
	const ElfW(Shdr) *table = find_section(object, SHT_SYMTAB), *strings;
	const ElfW(Sym) *symbols;
	size_t i, total;

	if (!table)
		table = find_section(object, SHT_DYNSYM);
	if (!table)
		return;
	strings = (const ElfW(Shdr) *)(const void *)(object->image +
		((const ElfW(Ehdr) *)(const void *)object->image)->e_shoff) + table->sh_link;
	symbols = (const void *)(object->image + table->sh_offset);
	total = table->sh_size / sizeof(*symbols);
	object->functions = sc_os.alloc((total ? total : 1) * sizeof(struct function));
	if (!object->functions)
		return;
	for (i = 0; i < total; i++) {
		if (ELF64_ST_TYPE(symbols[i].st_info) != STT_FUNC || !symbols[i].st_shndx ||
		    symbols[i].st_name >= strings->sh_size)
			continue;
		object->functions[object->count++] = (struct function){
			symbols[i].st_value, symbols[i].st_size,
			object->image + strings->sh_offset + symbols[i].st_name};
	}
	qsort(object->functions, object->count, sizeof(struct function), by_start);
}

/* ---- looking up ---- */

struct search {
	uintptr_t address;
	uintptr_t base;
	const char *path; /* NULL: in no loaded file */
};

static int covers(struct dl_phdr_info *info, size_t size, void *argument)
{
	struct search *search = argument;
	int i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type == PT_LOAD &&
		    search->address - (info->dlpi_addr + part->p_vaddr) < part->p_memsz) {
			search->base = info->dlpi_addr;
			search->path = info->dlpi_name ? info->dlpi_name : "";
			return 1;
		}
	}
	return 0;
}

/* The object of a file, read at first use.  guard is held.  NULL: it can't be read now. */
static struct object *object_of(const struct search *search)
{
	size_t length = strlen(search->path) + 1;
	struct object *object;

	for (object = objects; object; object = object->next)
		if (object->base == search->base && strcmp(object->path, search->path) == 0)
			return object;
	object = sc_os.alloc(sizeof(*object) + length);
	if (!object)
		return NULL;
	memset(object, 0, sizeof(*object));
	object->base = search->base;
	memcpy(object->path, search->path, length);
	map_file(object, *search->path ? search->path : "/proc/self/exe");
	if (object->image)
		read_functions(object);
	if (!object->functions) {
		/* For want of memory or descriptors, perhaps: the next report may have them. */
		if (object->image)
			munmap((void *)object->image, object->image_size);
		sc_os.free(object);
		return NULL;
	}
	object->next = objects;
	objects = object;
	return object;
}

/* The last function that starts at or below the address and reaches it. */
static const struct function *function_at(const struct object *object, uintptr_t address)
{
	size_t low = 0, high = object->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (object->functions[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	low--;
	if (object->functions[low].size &&
	    address - object->functions[low].start >= object->functions[low].size)
		return NULL;
	return &object->functions[low];
}

void sc_os_symbol(const void *address, int with_offset, char *out, size_t size)
{
	struct search search = {.address = (uintptr_t)address};
	const struct function *function = NULL;
	struct object *object;
	uintptr_t offset;
	int length;

	if (dl_iterate_phdr(covers, &search)) {
		sc_lock_take(&guard);
		object = object_of(&search);
		if (object)
			function = function_at(object, search.address - search.base);
		sc_lock_drop(&guard);
	}
	if (!function) {
		snprintf(out, size, "%p", address);
		return;
	}
	offset = search.address - search.base - function->start;
	/* A compiler's clones ("name.part.0", "name.lto_priv.3") go by the name in the source. */
	length = (int)strcspn(function->name, ".");
	if (length == 0)
		length = (int)strlen(function->name);
	if (with_offset && offset)
		snprintf(out, size, "%.*s+0x%zx", length, function->name, (size_t)offset);
	else
		snprintf(out, size, "%.*s", length, function->name);
}
