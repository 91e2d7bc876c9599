/* runtime/os/symbol.c: names of functions and sites, read from the ELF files they came from.
 *
 * dladdr knows dynamic symbols only; the functions that a program gives to tasks are
 * mostly static, and those are in .symtab.  A file is read once and its functions stay in
 * a sorted table; tables live as long as the process.
 */
#define _GNU_SOURCE
#include "base/lock.h"
#include "os/elf.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
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
	struct sc_elf elf; /* holds the names */
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
			object->elf.image = image;
			object->elf.size = (size_t)status.st_size;
		}
	}
	close(fd);
}

const ElfW(Shdr) *sc_elf_sections(const struct sc_elf *elf, size_t *out_count)
{
	const ElfW(Ehdr) *header = (const void *)elf->image;

	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_shentsize != sizeof(ElfW(Shdr)) ||
	    !sc_elf_inside(elf, header->e_shoff, (uint64_t)header->e_shnum * sizeof(ElfW(Shdr))))
		return NULL;
	*out_count = header->e_shnum;
	return (const void *)(elf->image + header->e_shoff);
}

/* The section of a type, whose bytes and whose linked strings lie inside the file. */
static const ElfW(Shdr) *find_section(const struct sc_elf *elf, unsigned type)
{
	const ElfW(Shdr) *sections;
	size_t count, i;

	sections = sc_elf_sections(elf, &count);
	for (i = 0; sections && i < count; i++) {
		const ElfW(Shdr) *section = &sections[i];

		if (section->sh_type == type && section->sh_link < count &&
		    sc_elf_inside(elf, section->sh_offset, section->sh_size) &&
		    sc_elf_inside(elf, sections[section->sh_link].sh_offset,
				  sections[section->sh_link].sh_size))
			return section;
	}
	return NULL;
}

static void read_functions(struct object *object)
{
	const ElfW(Shdr) *table = find_section(&object->elf, SHT_SYMTAB), *strings;
	const ElfW(Sym) *symbols;
	size_t i, total;

	if (!table)
		table = find_section(&object->elf, SHT_DYNSYM);
	if (!table)
		return;
	strings = (const ElfW(Shdr) *)(const void *)(object->elf.image +
		((const ElfW(Ehdr) *)(const void *)object->elf.image)->e_shoff) + table->sh_link;
	symbols = (const void *)(object->elf.image + table->sh_offset);
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
			object->elf.image + strings->sh_offset + symbols[i].st_name};
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
	if (object->elf.image)
		read_functions(object);
	if (!object->functions) {
		/* For want of memory or descriptors, perhaps: the next report may have them. */
		if (object->elf.image)
			munmap((void *)object->elf.image, object->elf.size);
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

/* What is known of an address: the file that it lies in, and of that more or less. */
struct finding {
	struct search search;
	struct object *object;
	const struct function *function;
};

static struct finding find(const void *address)
{
	struct finding finding = {.search.address = (uintptr_t)address};

	if (!dl_iterate_phdr(covers, &finding.search))
		return finding;
	sc_lock_take(&guard);
	finding.object = object_of(&finding.search);
	if (finding.object)
		finding.function = function_at(finding.object,
					       finding.search.address - finding.search.base);
	sc_lock_drop(&guard);
	return finding;
}

/* Without a symbol: the file, and where in it, which tools that have its symbols understand. */
static void put_file(const struct finding *finding, const void *address, char *out, size_t size)
{
	const char *path = finding->search.path, *slash;

	if (!path) {
		snprintf(out, size, "%p", address);
		return;
	}
	if (!*path)
		path = program_invocation_short_name;
	slash = strrchr(path, '/');
	snprintf(out, size, "%s+0x%zx", slash ? slash + 1 : path,
		 (size_t)((uintptr_t)address - finding->search.base));
}

/* A compiler's clones ("name.part.0", "name.lto_priv.3") go by the name in the source. */
static int name_length(const struct function *function)
{
	size_t length = strcspn(function->name, ".");

	return (int)(length ? length : strlen(function->name));
}

static void put_function(const struct finding *finding, const void *address, int with_offset,
			 char *out, size_t size)
{
	const struct function *function = finding->function;
	size_t offset = (uintptr_t)address - finding->search.base - function->start;

	if (with_offset && offset)
		snprintf(out, size, "%.*s+0x%zx", name_length(function), function->name, offset);
	else
		snprintf(out, size, "%.*s", name_length(function), function->name);
}

void sc_os_symbol(const void *address, int with_offset, char *out, size_t size)
{
	struct finding finding = find(address);

	if (finding.function)
		put_function(&finding, address, with_offset, out, size);
	else
		put_file(&finding, address, out, size);
}

/* The lines that were asked for last: a tree of errors names few sites, often. */
enum { LINES_KEPT = 32 };

static struct kept_line {
	const void *site; /* NULL: none */
	int found;
	struct sc_source source;
} kept_lines[LINES_KEPT]; /* lock: guard */
static unsigned next_kept; /* lock: guard */

static int line_of(const struct finding *finding, const void *site, struct sc_source *out)
{
	struct kept_line *kept = kept_lines, line = {.site = site};

	sc_lock_take(&guard);
	while (kept < kept_lines + LINES_KEPT && kept->site != site)
		kept++;
	if (kept == kept_lines + LINES_KEPT) {
		kept = &kept_lines[next_kept++ % LINES_KEPT];
		line.found = sc_elf_line(&finding->object->elf,
					 finding->search.address - finding->search.base,
					 &line.source);
		*kept = line;
	}
	line = *kept;
	sc_lock_drop(&guard);
	*out = line.source;
	return line.found;
}

void sc_os_site(const void *site, char *out, size_t size)
{
	/* Of the call, not of what comes after it. */
	struct finding finding = find((const char *)site - 1);
	struct sc_source source;
	int absolute;

	if (!finding.function) {
		put_file(&finding, site, out, size);
		return;
	}
	if (!line_of(&finding, site, &source)) {
		put_function(&finding, site, 1, out, size);
		return;
	}
	absolute = !*source.directory || *source.name == '/';
	snprintf(out, size, "%.*s (%s%s%s:%u)", name_length(finding.function),
		 finding.function->name, absolute ? "" : source.directory, absolute ? "" : "/",
		 source.name, source.line);
}
