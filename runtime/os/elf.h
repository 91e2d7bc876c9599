/* runtime/os/elf.h: a mapped ELF file, as far as names and lines are read from it. */
#ifndef SC_OS_ELF_H
#define SC_OS_ELF_H

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>

/* Const and mapped as long as anybody uses it. */
struct sc_elf {
	const char *image;
	size_t size;
};

struct sc_source {
	const char *directory; /* "": as the compiler was called; both end within the image */
	const char *name;
	unsigned line;
};

static inline int sc_elf_inside(const struct sc_elf *elf, uint64_t offset, uint64_t size)
{
	return offset <= elf->size && size <= elf->size - offset;
}

/* The table of sections, *out_count of them; NULL: it is no sound ELF file of this machine. */
const ElfW(Shdr) *sc_elf_sections(const struct sc_elf *elf, size_t *out_count);

/* line.c: the source line of the code at an address as in the file.  False: not known. */
int sc_elf_line(const struct sc_elf *elf, uint64_t address, struct sc_source *out);

#endif
