/* runtime/os/line.c: source lines, read from the .debug_line of an ELF file (DWARF 2 to 5).
 *
 * For each compiled file the section has a program, whose rows say from which address on which
 * line is executed; it is run until a row covers the address that is asked for.  That takes
 * some milliseconds for a large program, so nothing is prepared and kept.  Whatever is not as
 * expected ends the search of that unit: the file may be anything.
 */
#include "os/elf.h"
#include <string.h>

/* More is not searched: it would take longer than a report may. */
enum { MOST_BYTES = 256 << 20 };

/* ---- bytes ----------------------------------------------------------------------------------- */

struct reader {
	const unsigned char *at, *end; /* at end after something was missing */
};

static uint64_t fixed(struct reader *reader, unsigned bytes)
{
	uint64_t value = 0;
	unsigned i;

	if ((size_t)(reader->end - reader->at) < bytes) {
		reader->at = reader->end;
		return 0;
	}
	for (i = 0; i < bytes; i++)
		value |= (uint64_t)reader->at[i] << (8 * i);
	reader->at += bytes;
	return value;
}

/* Seven bits a byte, the lowest first.  The last byte has bit 6 for the sign, if there is one. */
static uint64_t leb(struct reader *reader, int is_signed)
{
	uint64_t value = 0;
	unsigned shift = 0, byte;

	do {
		byte = (unsigned)fixed(reader, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (is_signed && shift < 64 && (byte & 0x40))
		value |= ~UINT64_C(0) << shift;
	return value;
}

static uint64_t unsigned_leb(struct reader *reader)
{
	return leb(reader, 0);
}

static int64_t signed_leb(struct reader *reader)
{
	return (int64_t)leb(reader, 1);
}

static const char *string(struct reader *reader)
{
	const char *text = (const char *)reader->at;
	size_t room = (size_t)(reader->end - reader->at), length = strnlen(text, room);

	if (length == room) {
		reader->at = reader->end;
		return "";
	}
	reader->at += length + 1;
	return text;
}

static void skip(struct reader *reader, uint64_t bytes)
{
	uint64_t room = (uint64_t)(reader->end - reader->at);

	reader->at += bytes < room ? bytes : room;
}

/* ---- sections -------------------------------------------------------------------------------- */

static struct reader section(const struct sc_elf *elf, const char *name)
{
	const ElfW(Ehdr) *header = (const void *)elf->image;
	const ElfW(Shdr) *sections, *names;
	size_t count, i, length = strlen(name) + 1;

	sections = sc_elf_sections(elf, &count);
	if (!sections || header->e_shstrndx >= count)
		return (struct reader){NULL, NULL};
	names = &sections[header->e_shstrndx];
	if (!sc_elf_inside(elf, names->sh_offset, names->sh_size))
		return (struct reader){NULL, NULL};
	for (i = 0; i < count; i++) {
		const ElfW(Shdr) *each = &sections[i];
		const unsigned char *bytes = (const void *)(elf->image + each->sh_offset);

		if (each->sh_type != SHT_PROGBITS || (each->sh_flags & SHF_COMPRESSED) ||
		    !sc_elf_inside(elf, each->sh_offset, each->sh_size) ||
		    each->sh_name >= names->sh_size || names->sh_size - each->sh_name < length ||
		    memcmp(elf->image + names->sh_offset + each->sh_name, name, length) != 0)
			continue;
		return (struct reader){bytes, bytes + each->sh_size};
	}
	return (struct reader){NULL, NULL};
}

/* ---- the header of a unit -------------------------------------------------------------------- */

struct unit {
	const struct sc_elf *elf;
	struct reader tables; /* directories and files */
	struct reader program;
	unsigned version, offset_size, address_size;
	unsigned instruction, line_range, opcode_base;
	int line_base;
	const unsigned char *operands; /* how many each standard opcode has */
};

/* Reads the header of the next unit and leaves `all` behind the unit. */
static int next_unit(struct reader *all, struct unit *unit)
{
	uint64_t length = fixed(all, 4), header;
	struct reader reader;

	unit->offset_size = length == 0xffffffff ? 8 : 4;
	if (unit->offset_size == 8)
		length = fixed(all, 8);
	reader.at = all->at;
	skip(all, length);
	reader.end = all->at;
	unit->version = (unsigned)fixed(&reader, 2);
	unit->address_size = sizeof(void *);
	if (unit->version >= 5) {
		unit->address_size = (unsigned)fixed(&reader, 1);
		skip(&reader, 1);
	}
	header = fixed(&reader, unit->offset_size);
	unit->program = reader;
	skip(&unit->program, header);
	reader.end = unit->program.at;
	unit->instruction = (unsigned)fixed(&reader, 1);
	if (unit->version >= 4)
		skip(&reader, 1);
	skip(&reader, 1);
	unit->line_base = (int8_t)fixed(&reader, 1);
	unit->line_range = (unsigned)fixed(&reader, 1);
	unit->opcode_base = (unsigned)fixed(&reader, 1);
	unit->operands = reader.at;
	if (unit->opcode_base > 0)
		skip(&reader, unit->opcode_base - 1);
	unit->tables = reader;
	return unit->version >= 2 && unit->version <= 5 && unit->line_range > 0 &&
	       unit->opcode_base > 0 && unit->address_size <= 8 && reader.at < reader.end;
}

/* ---- the names of files ---------------------------------------------------------------------- */

static const char *string_at(const struct unit *unit, const char *name, uint64_t offset)
{
	struct reader reader = section(unit->elf, name);

	skip(&reader, offset);
	return reader.at ? string(&reader) : "";
}

enum { DW_LNCT_path = 1, DW_LNCT_directory_index = 2 };

/* An entry of a table of version 5; *out_text, *out_number keep what it does not have. */
static void read_form(const struct unit *unit, struct reader *reader, uint64_t form,
		      const char **out_text, uint64_t *out_number)
{
	switch (form) {
	case 0x08: /* string */
		*out_text = string(reader);
		return;
	case 0x0e: /* strp */
		*out_text = string_at(unit, ".debug_str", fixed(reader, unit->offset_size));
		return;
	case 0x1f: /* line_strp */
		*out_text = string_at(unit, ".debug_line_str", fixed(reader, unit->offset_size));
		return;
	case 0x0b: /* data1 */
		*out_number = fixed(reader, 1);
		return;
	case 0x05: /* data2 */
		*out_number = fixed(reader, 2);
		return;
	case 0x06: /* data4 */
		*out_number = fixed(reader, 4);
		return;
	case 0x07: /* data8 */
		*out_number = fixed(reader, 8);
		return;
	case 0x0f: /* udata */
		*out_number = unsigned_leb(reader);
		return;
	case 0x1e: /* data16: a checksum */
		skip(reader, 16);
		return;
	case 0x09: /* block */
		skip(reader, unsigned_leb(reader));
		return;
	default:
		reader->at = reader->end;
	}
}

/* Entry `wanted` of the table that starts at the reader, which is left behind the table. */
static void read_table(const struct unit *unit, struct reader *reader, uint64_t wanted,
		       const char **out_path, uint64_t *out_directory)
{
	unsigned formats = (unsigned)fixed(reader, 1), i;
	struct reader start = *reader, format;
	uint64_t count, at, kind;

	for (i = 0; i < 2 * formats; i++)
		unsigned_leb(reader);
	count = formats > 0 ? unsigned_leb(reader) : 0;
	for (at = 0; at < count && reader->at < reader->end; at++) {
		format = start;
		for (i = 0; i < formats; i++) {
			const char *text = "";
			uint64_t number = 0;

			kind = unsigned_leb(&format);
			read_form(unit, reader, unsigned_leb(&format), &text, &number);
			if (at == wanted && kind == DW_LNCT_path)
				*out_path = text;
			if (at == wanted && kind == DW_LNCT_directory_index)
				*out_directory = number;
		}
	}
}

/* Directory 0 is the one in which the compiler was called: others are relative to it, or lie
 * below it, as people call them. */
static void name_file(const struct unit *unit, uint64_t file, struct sc_source *out)
{
	struct reader reader = unit->tables, again = reader;
	const char *base = "", *directory = "";
	uint64_t number = 0, unused;
	size_t length;

	out->name = "";
	out->directory = "";
	read_table(unit, &reader, 0, &base, &unused);
	read_table(unit, &reader, file, &out->name, &number);
	if (number == 0)
		return;
	read_table(unit, &again, number, &directory, &unused);
	length = strlen(base);
	if (length > 0 && strncmp(directory, base, length) == 0 && directory[length] == '/')
		directory += length + 1;
	out->directory = strcmp(directory, base) == 0 ? "" : directory;
}

/* Up to version 4 both tables are lists that count from 1 and end with an empty name. */
static void name_file_old(const struct unit *unit, uint64_t file, struct sc_source *out)
{
	struct reader reader = unit->tables, directories = reader;
	const char *name;
	uint64_t directory = 0;

	out->name = "";
	out->directory = "";
	while (*string(&reader))
		;
	while (file > 0 && *(name = string(&reader))) {
		directory = unsigned_leb(&reader);
		unsigned_leb(&reader);
		unsigned_leb(&reader);
		if (--file == 0)
			out->name = name;
	}
	while (*out->name && directory > 0 && directories.at < directories.end) {
		out->directory = string(&directories);
		directory--;
	}
}

/* ---- the program of a unit ------------------------------------------------------------------- */

struct row {
	uint64_t address, file;
	int64_t line;
};

/* What an opcode did to the rows. */
enum effect { NO_ROW, ROW, LAST_ROW };

static enum effect extended(const struct unit *unit, struct reader *reader, struct row *row)
{
	uint64_t length = unsigned_leb(reader);
	const unsigned char *behind = reader->at;
	unsigned opcode = length > 0 ? (unsigned)fixed(reader, 1) : 0;

	if (opcode == 2) /* set_address */
		row->address = fixed(reader, unit->address_size);
	reader->at = behind;
	skip(reader, length);
	return opcode == 1 ? LAST_ROW : NO_ROW; /* end_sequence */
}

static enum effect step(const struct unit *unit, struct reader *reader, struct row *row)
{
	unsigned opcode = (unsigned)fixed(reader, 1), special, i;

	if (opcode >= unit->opcode_base) {
		special = opcode - unit->opcode_base;
		row->address += (uint64_t)(special / unit->line_range) * unit->instruction;
		row->line += unit->line_base + (int)(special % unit->line_range);
		return ROW;
	}
	switch (opcode) {
	case 0:
		return extended(unit, reader, row);
	case 1: /* copy */
		return ROW;
	case 2: /* advance_pc */
		row->address += unsigned_leb(reader) * unit->instruction;
		return NO_ROW;
	case 3: /* advance_line */
		row->line += signed_leb(reader);
		return NO_ROW;
	case 4: /* set_file */
		row->file = unsigned_leb(reader);
		return NO_ROW;
	case 8: /* const_add_pc: as special opcode 255 */
		special = 255 - unit->opcode_base;
		row->address += (uint64_t)(special / unit->line_range) * unit->instruction;
		return NO_ROW;
	case 9: /* fixed_advance_pc */
		row->address += fixed(reader, 2);
		return NO_ROW;
	}
	for (i = 0; i < unit->operands[opcode - 1]; i++)
		unsigned_leb(reader);
	return NO_ROW;
}

/* Rows of a sequence ascend: one is good up to the next one's address.  Sequences from address
 * 0 on belong to functions that the linker left out. */
static int search(const struct unit *unit, uint64_t address, struct row *out)
{
	static const struct row first = {0, 1, 1};
	struct reader reader = unit->program;
	struct row row = first, before = first;
	uint64_t start = 0; /* of the sequence */
	int begun = 0;      /* the sequence has a row: `before` */

	while (reader.at < reader.end) {
		enum effect effect = step(unit, &reader, &row);

		if (effect == NO_ROW)
			continue;
		if (begun && start != 0 && before.address <= address && address < row.address) {
			*out = before;
			return before.line > 0;
		}
		if (!begun)
			start = row.address;
		begun = effect != LAST_ROW;
		before = row;
		if (!begun)
			row = first;
	}
	return 0;
}

int sc_elf_line(const struct sc_elf *elf, uint64_t address, struct sc_source *out)
{
	struct reader all = section(elf, ".debug_line");
	struct unit unit = {.elf = elf};
	struct row row;

	if (all.end - all.at > MOST_BYTES)
		return 0;
	while (all.at < all.end) {
		if (!next_unit(&all, &unit) || !search(&unit, address, &row))
			continue;
		out->line = (unsigned)row.line;
		if (unit.version >= 5)
			name_file(&unit, row.file, out);
		else
			name_file_old(&unit, row.file, out);
		return out->name[0] != '\0';
	}
	return 0;
}
