/* tests/unit/test_line.c: source lines from files made here, sound ones and damaged ones. */
#define _GNU_SOURCE
#include "harness.h"

#include "os/elf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- bytes ---- */

struct bytes {
	unsigned char at[1024];
	size_t size;
};

static void put(struct bytes *out, unsigned size, uint64_t value)
{
	cr_assert(out->size + size <= sizeof(out->at));
	for (; size > 0 && out->size < sizeof(out->at); size--, value >>= 8)
		out->at[out->size++] = (unsigned char)value;
}

static void put_text(struct bytes *out, const char *text)
{
	for (; *text; text++)
		put(out, 1, (unsigned char)*text);
	put(out, 1, 0);
}

static void put_leb(struct bytes *out, int64_t value)
{
	int more;

	do {
		more = value < -64 || value > 63;
		put(out, 1, (uint64_t)(value & 0x7f) | (more ? 0x80 : 0));
		value >>= 7;
	} while (more);
}

static void put_bytes(struct bytes *out, const struct bytes *more)
{
	size_t i;

	for (i = 0; i < more->size; i++)
		put(out, 1, more->at[i]);
}

/* ---- a unit of .debug_line ---- */

enum { LINE_BASE = -3, LINE_RANGE = 14, OPCODE_BASE = 13, INSTRUCTION = 2 };
enum { COPY = 1, ADVANCE_PC, ADVANCE_LINE, SET_FILE, SET_COLUMN, NEGATE, BLOCK, CONST_ADD_PC,
       FIXED_ADVANCE_PC, PROLOGUE, EPILOGUE, SET_ISA };
enum { FORM_DATA2 = 5, FORM_DATA4, FORM_DATA8, FORM_STRING, FORM_BLOCK, FORM_DATA1 = 0xb,
       FORM_STRP = 0xe, FORM_UDATA, FORM_DATA16 = 0x1e, FORM_LINE_STRP };

struct unit {
	unsigned version;
	int wide;                 /* offsets of 8 bytes */
	unsigned text_form;       /* from version 5 on; 0: string */
	unsigned number_form;     /* likewise; 0: udata */
	const char *directory[2]; /* the first one from version 5 on */
	struct bytes program;
};

/* Where the texts of the forms that lie in other sections are; see make_file. */
enum { TEXT_OFFSET = 3 };

static void put_path(struct bytes *out, const struct unit *unit, const char *text)
{
	if (!unit->text_form || unit->text_form == FORM_STRING)
		put_text(out, text);
	else
		put(out, unit->wide ? 8 : 4, TEXT_OFFSET);
}

static void put_number(struct bytes *out, const struct unit *unit, unsigned number)
{
	switch (unit->number_form) {
	case FORM_DATA1: put(out, 1, number); return;
	case FORM_DATA2: put(out, 2, number); return;
	case FORM_DATA4: put(out, 4, number); return;
	case FORM_DATA8: put(out, 8, number); return;
	default: put_leb(out, number);
	}
}

/* Files 0 and 1 are "main.c", file 2 is "other.c"; each with a checksum and a block between. */
static void put_tables(struct bytes *out, const struct unit *unit)
{
	static const char *const file[] = {"main.c", "main.c", "other.c"};
	unsigned i;

	put(out, 1, 1);
	put(out, 2, 1 | FORM_STRING << 8);
	put_leb(out, 2);
	put_text(out, unit->directory[0]);
	put_text(out, unit->directory[1]);
	put(out, 1, 4);
	put(out, 2, 5 | FORM_DATA16 << 8);
	put(out, 2, 2 | (unit->number_form ? unit->number_form : FORM_UDATA) << 8);
	put(out, 2, 1 | (unit->text_form ? unit->text_form : FORM_STRING) << 8);
	put(out, 2, 6 | FORM_BLOCK << 8);
	put_leb(out, 3);
	for (i = 0; i < 3; i++) {
		put(out, 8, ~0ull);
		put(out, 8, ~0ull);
		put_number(out, unit, 1);
		put_path(out, unit, file[i]);
		put_leb(out, 2);
		put(out, 2, 0xffff);
	}
}

static void put_old_tables(struct bytes *out, const struct unit *unit)
{
	static const char *const file[] = {"main.c", "other.c"};
	unsigned i;

	if (unit->directory[1])
		put_text(out, unit->directory[1]);
	put(out, 1, 0);
	for (i = 0; i < 2; i++) {
		put_text(out, file[i]);
		put_leb(out, unit->directory[1] ? 1 : 0);
		put_leb(out, 1000);
		put_leb(out, 0);
	}
	put(out, 1, 0);
}

static void put_unit(struct bytes *out, const struct unit *unit)
{
	static const unsigned char operands[] = {0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};
	struct bytes header = {.size = 0}, body = {.size = 0};
	unsigned offset = unit->wide ? 8 : 4, i;

	put(&header, 1, INSTRUCTION);
	if (unit->version >= 4)
		put(&header, 1, 1);
	put(&header, 1, 1);
	put(&header, 1, (uint64_t)LINE_BASE);
	put(&header, 1, LINE_RANGE);
	put(&header, 1, OPCODE_BASE);
	for (i = 0; i < sizeof(operands); i++)
		put(&header, 1, operands[i]);
	if (unit->version >= 5)
		put_tables(&header, unit);
	else
		put_old_tables(&header, unit);

	put(&body, 2, unit->version);
	if (unit->version >= 5)
		put(&body, 2, 8);
	put(&body, offset, header.size);
	put_bytes(&body, &header);
	put_bytes(&body, &unit->program);
	if (unit->wide)
		put(out, 4, 0xffffffff);
	put(out, offset, body.size);
	put_bytes(out, &body);
}

static void set_address(struct bytes *out, uint64_t address)
{
	put(out, 3, 2 << 16 | 9 << 8);
	put(out, 8, address);
}

static void put_row(struct bytes *out, unsigned advance, int lines)
{
	put(out, 1, ADVANCE_PC);
	put_leb(out, advance / INSTRUCTION);
	put(out, 1, ADVANCE_LINE);
	put_leb(out, lines);
	put(out, 1, COPY);
}

static void end_sequence(struct bytes *out, unsigned advance)
{
	put(out, 1, ADVANCE_PC);
	put_leb(out, advance / INSTRUCTION);
	put(out, 3, 1 << 16 | 1 << 8);
}

/* Line 7 from 0x1000 to 0x1010, line 9 to 0x1020. */
static void put_function(struct bytes *out)
{
	set_address(out, 0x1000);
	put_row(out, 0, 6);
	put_row(out, 0x10, 2);
	end_sequence(out, 0x10);
}

static struct unit make_unit(unsigned version)
{
	struct unit unit = {.version = version, .directory = {"/build", "/build/src"}};

	put_function(&unit.program);
	return unit;
}

/* ---- a file ---- */

enum { NAMES = 1, LINES, TEXTS, LINE_TEXTS, SECTIONS };
static const char names[] = "\0.shstrtab\0.debug_line\0.debug_str\0.debug_line_str";
static const char texts[] = "no\0text.c", line_texts[] = "no\0line.c";

/* Its memory ends where it does, so that a checker sees each byte behind it. */
struct file {
	struct sc_elf elf;
	ElfW(Shdr) *sections;
};

static void put_section(struct file *file, unsigned index, const char *name, const void *bytes,
			size_t size)
{
	char *image = (char *)(uintptr_t)file->elf.image;
	ElfW(Shdr) *section = &file->sections[index];

	section->sh_type = SHT_PROGBITS;
	section->sh_name = (uint32_t)((const char *)memmem(names, sizeof(names), name,
							    strlen(name) + 1) - names);
	section->sh_offset = sizeof(ElfW(Ehdr)) + SECTIONS * sizeof(ElfW(Shdr));
	if (index > 1)
		section->sh_offset = section[-1].sh_offset + section[-1].sh_size;
	section->sh_size = size;
	memcpy(image + section->sh_offset, bytes, size);
}

static struct file make_file(const struct bytes *lines)
{
	size_t size = sizeof(ElfW(Ehdr)) + SECTIONS * sizeof(ElfW(Shdr)) + sizeof(names) +
		      sizeof(texts) + sizeof(line_texts) + lines->size;
	ElfW(Ehdr) *header = calloc(1, size);
	struct file file = {.elf = {(const char *)header, size},
			    .sections = (void *)(header + 1)};

	cr_assert_not_null(header);
	memcpy(header->e_ident, ELFMAG, SELFMAG);
	header->e_shentsize = sizeof(ElfW(Shdr));
	header->e_shnum = SECTIONS;
	header->e_shoff = sizeof(*header);
	header->e_shstrndx = NAMES;
	put_section(&file, NAMES, ".shstrtab", names, sizeof(names));
	put_section(&file, LINES, ".debug_line", lines->at, lines->size);
	put_section(&file, TEXTS, ".debug_str", texts, sizeof(texts));
	put_section(&file, LINE_TEXTS, ".debug_line_str", line_texts, sizeof(line_texts));
	return file;
}

static struct file make_file_of(const struct unit *unit)
{
	struct bytes lines = {.size = 0};

	put_unit(&lines, unit);
	return make_file(&lines);
}

static void drop_file(struct file *file)
{
	free((void *)(uintptr_t)file->elf.image);
}

static void expect_line(const struct file *file, uint64_t address, const char *directory,
			const char *name, unsigned line)
{
	struct sc_source source;

	cr_assert(sc_elf_line(&file->elf, address, &source), "%#llx",
		  (unsigned long long)address);
	cr_expect_str_eq(source.directory, directory);
	cr_expect_str_eq(source.name, name);
	cr_expect_eq(source.line, line, "%u", source.line);
}

static void expect_none(const struct file *file, uint64_t address)
{
	struct sc_source source;

	cr_expect(!sc_elf_line(&file->elf, address, &source), "%#llx",
		  (unsigned long long)address);
}

/* ---- sound files ---- */

Test(line, E4_each_version_is_read_with_offsets_of_both_sizes)
{
	unsigned version, wide;

	for (version = 2; version <= 5; version++)
		for (wide = 0; wide < 2; wide++) {
			struct unit unit = make_unit(version);
			struct file file;

			unit.wide = (int)wide;
			file = make_file_of(&unit);
			expect_none(&file, 0xfff);
			expect_line(&file, 0x1000, version < 5 ? "/build/src" : "src", "main.c", 7);
			expect_line(&file, 0x101f, version < 5 ? "/build/src" : "src", "main.c", 9);
			expect_none(&file, 0x1020);
			drop_file(&file);
		}
}

Test(line, E4_each_form_of_a_name_is_read)
{
	static const unsigned text[] = {FORM_STRING, FORM_STRP, FORM_LINE_STRP};
	static const unsigned number[] = {FORM_DATA1, FORM_DATA2, FORM_DATA4, FORM_DATA8,
					  FORM_UDATA};
	static const char *const name[] = {"main.c", "text.c", "line.c"};
	unsigned i, j;

	for (i = 0; i < 3; i++)
		for (j = 0; j < 5; j++) {
			struct unit unit = make_unit(5);
			struct file file;

			unit.text_form = text[i];
			unit.number_form = number[j];
			file = make_file_of(&unit);
			expect_line(&file, 0x1000, "src", name[i], 7);
			drop_file(&file);
		}
}

Test(line, E4_a_form_that_is_not_known_leaves_no_name)
{
	struct unit unit = make_unit(5);
	struct file file;

	unit.number_form = 0x2a;
	file = make_file_of(&unit);
	expect_none(&file, 0x1000);
	drop_file(&file);
}

Test(line, E4_a_directory_is_told_as_seen_from_where_the_compiler_was_called)
{
	static const char *const cases[][3] = {
		{"/build", "/build/src", "src"},       {"/build", "/builder/src", "/builder/src"},
		{"/build", "/usr/include", "/usr/include"}, {"/build", "/build", ""},
		{"", "src", "src"}};
	unsigned i;

	for (i = 0; i < 5; i++) {
		struct unit unit = make_unit(5);
		struct file file;

		unit.directory[0] = cases[i][0];
		unit.directory[1] = cases[i][1];
		file = make_file_of(&unit);
		expect_line(&file, 0x1000, cases[i][2], "main.c", 7);
		drop_file(&file);
	}
}

Test(line, E4_a_file_without_a_directory_is_a_name)
{
	struct unit unit = make_unit(4);
	struct file file;

	unit.directory[1] = NULL;
	file = make_file_of(&unit);
	expect_line(&file, 0x1000, "", "main.c", 7);
	drop_file(&file);
}

/* Only some of them does a compiler write today. */
static void put_every_opcode(struct bytes *out)
{
	set_address(out, 0x1000);
	put(out, 1, SET_FILE);
	put_leb(out, 2);
	put(out, 1, COPY);
	put_row(out, 0x20, 9);
	put(out, 1, CONST_ADD_PC); /* 242 / 14 instructions: 34 bytes */
	put_row(out, 0, 5);
	put(out, 1, FIXED_ADVANCE_PC);
	put(out, 2, 0x100);
	put(out, 1, SET_COLUMN);
	put_leb(out, 1000);
	put(out, 3, PROLOGUE << 16 | BLOCK << 8 | NEGATE);
	put(out, 2, SET_ISA << 8 | EPILOGUE);
	put_leb(out, 1);
	put_row(out, 0, -3);
	put(out, 1, OPCODE_BASE + 3 * LINE_RANGE + 2 - LINE_BASE); /* 3 instructions, 2 lines */
	put(out, 4, 7 << 24 | 4 << 16 | 2 << 8); /* an extended one that is not known */
	put(out, 2, 0);                          /* one without anything */
	end_sequence(out, 4);
}

Test(line, E4_every_opcode_is_understood)
{
	struct unit unit = {.version = 5, .directory = {"/build", "/build/src"}};
	struct file file;

	put_every_opcode(&unit.program);
	file = make_file_of(&unit);
	expect_none(&file, 0xfff);
	expect_line(&file, 0x1000, "src", "other.c", 1);
	expect_line(&file, 0x101f, "src", "other.c", 1);
	expect_line(&file, 0x1020, "src", "other.c", 10);
	expect_line(&file, 0x1042, "src", "other.c", 15);
	expect_line(&file, 0x1142, "src", "other.c", 12);
	expect_line(&file, 0x1148, "src", "other.c", 14);
	expect_line(&file, 0x114b, "src", "other.c", 14);
	expect_none(&file, 0x114c);
	drop_file(&file);
}

/* Its rows keep their distances from address 0, where the linker puts what it leaves out. */
Test(line, E4_a_function_that_the_linker_left_out_covers_nothing)
{
	struct unit unit = {.version = 5, .directory = {"/build", "/build/src"}};
	struct file file;

	set_address(&unit.program, 0);
	put_row(&unit.program, 0, 100);
	put_row(&unit.program, 0x800, 1);
	put_row(&unit.program, 0x800, 1);
	end_sequence(&unit.program, 0x2000);
	put_function(&unit.program);
	file = make_file_of(&unit);
	expect_none(&file, 0x900);
	expect_line(&file, 0x1004, "src", "main.c", 7);
	expect_none(&file, 0x1800);
	drop_file(&file);
}

Test(line, E4_line_0_is_none)
{
	struct unit unit = {.version = 5, .directory = {"/build", "/build/src"}};
	struct file file;

	set_address(&unit.program, 0x1000);
	put_row(&unit.program, 0, -1);
	end_sequence(&unit.program, 0x10);
	file = make_file_of(&unit);
	expect_none(&file, 0x1004);
	drop_file(&file);
}

/* Of a number all bits count that have room; what is behind them is passed over. */
Test(line, E4_numbers_of_any_length_are_read)
{
	struct unit unit = {.version = 5, .directory = {"/build", "/build/src"}};
	struct file file;
	unsigned i;

	set_address(&unit.program, 0x1000);
	put(&unit.program, 1, ADVANCE_LINE);
	put(&unit.program, 1, 0x86);
	for (i = 0; i < 10; i++)
		put(&unit.program, 1, 0x80);
	put(&unit.program, 3, ADVANCE_PC << 16 | COPY << 8);
	put(&unit.program, 1, 0x88);
	for (i = 0; i < 10; i++)
		put(&unit.program, 1, 0x80);
	put(&unit.program, 1, 0);
	end_sequence(&unit.program, 0);
	file = make_file_of(&unit);
	expect_line(&file, 0x100f, "src", "main.c", 7);
	expect_none(&file, 0x1010);
	drop_file(&file);
}

/* ---- files that are not sound ---- */

/* A unit that can't be read, and one behind it that can. */
static void expect_skipped(const struct bytes *bad)
{
	struct unit unit = make_unit(5);
	struct bytes lines = *bad;
	struct file file;

	put_unit(&lines, &unit);
	file = make_file(&lines);
	expect_line(&file, 0x1000, "src", "main.c", 7);
	drop_file(&file);
}

Test(line, E4_a_unit_that_is_not_understood_is_skipped)
{
	enum { VERSION = 4, ADDRESS_SIZE = 6, RANGE = 16, BASE = 17 };
	static const unsigned char change[][2] = {{VERSION, 1},        {VERSION, 6},
						  {ADDRESS_SIZE, 9},   {RANGE, 0},
						  {BASE, 0},           {BASE, 255}};
	unsigned i;

	for (i = 0; i < sizeof(change) / sizeof(change[0]); i++) {
		struct unit unit = make_unit(5);
		struct bytes bad = {.size = 0};

		unit.program.size = 0;
		set_address(&unit.program, 0x1000);
		put_row(&unit.program, 0, 41);
		end_sequence(&unit.program, 0x10);
		put_unit(&bad, &unit);
		cr_assert_eq(bad.at[RANGE], LINE_RANGE);
		cr_assert_eq(bad.at[BASE], OPCODE_BASE);
		bad.at[change[i][0]] = change[i][1];
		expect_skipped(&bad);
	}
}

Test(line, E4_a_unit_of_a_few_bytes_is_skipped)
{
	struct bytes bad = {.size = 0};

	put(&bad, 4, 3);
	put(&bad, 3, 5);
	expect_skipped(&bad);
}

static void put_sections_wrong(struct file *file, unsigned which)
{
	ElfW(Ehdr) *header = (ElfW(Ehdr) *)(uintptr_t)file->elf.image;

	switch (which) {
	case 0: header->e_ident[0] = 0; return;
	case 1: header->e_shentsize++; return;
	case 2: header->e_shoff = file->elf.size; return;
	case 3: header->e_shoff = file->elf.size + 1; return;
	case 4: header->e_shstrndx = SECTIONS; return;
	case 5: file->sections[NAMES].sh_offset = file->elf.size; return;
	case 6: file->sections[NAMES].sh_size = file->sections[LINES].sh_name; return;
	case 7: file->sections[NAMES].sh_size = file->sections[LINES].sh_name + 4; return;
	case 8: file->sections[LINES].sh_type = SHT_NOBITS; return;
	case 9: file->sections[LINES].sh_flags |= SHF_COMPRESSED; return;
	case 10: file->sections[LINES].sh_size = file->elf.size; return;
	case 11: file->sections[LINES].sh_name++; return;
	}
}

Test(line, E4_without_a_sound_section_of_lines_there_is_no_line)
{
	struct unit unit = make_unit(5);
	unsigned which;

	for (which = 0; which < 12; which++) {
		struct file file = make_file_of(&unit);

		expect_line(&file, 0x1000, "src", "main.c", 7);
		put_sections_wrong(&file, which);
		expect_none(&file, 0x1000);
		drop_file(&file);
	}
}

Test(line, E4_names_in_a_section_that_is_missing_are_none)
{
	struct unit unit = make_unit(5);
	struct file file;

	unit.text_form = FORM_STRP;
	file = make_file_of(&unit);
	file.sections[TEXTS].sh_type = SHT_NULL;
	expect_none(&file, 0x1000);
	file.sections[TEXTS].sh_type = SHT_PROGBITS;
	expect_line(&file, 0x1000, "src", "text.c", 7);
	file.sections[TEXTS].sh_size = TEXT_OFFSET + 3; /* its end is not in there */
	expect_none(&file, 0x1000);
	file.sections[TEXTS].sh_size = TEXT_OFFSET - 1;
	expect_none(&file, 0x1000);
	drop_file(&file);
}

Test(line, E4_very_many_lines_are_not_searched)
{
	struct unit unit = make_unit(5);
	struct file file = make_file_of(&unit), large;
	size_t most = 256 << 20, size = file.elf.size + most + 1;
	char *image = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	cr_assert(image != MAP_FAILED);
	memcpy(image, file.elf.image, file.elf.size);
	large.elf = (struct sc_elf){image, size};
	large.sections = (void *)(image + sizeof(ElfW(Ehdr)));
	large.sections[LINES].sh_size = most;
	expect_line(&large, 0x1000, "src", "main.c", 7);
	large.sections[LINES].sh_size++;
	expect_none(&large, 0x1000);
	munmap(image, size);
	drop_file(&file);
}

static int is_inside(const struct file *file, const char *text)
{
	const char *end = file->elf.image + file->elf.size;

	if (!*text)
		return 1;
	return text >= file->elf.image && text < end && memchr(text, 0, (size_t)(end - text));
}

/* What is told of a damaged file may be wrong, but all of it is in the file. */
static void look_at(const struct file *file)
{
	struct sc_source source;

	if (sc_elf_line(&file->elf, 0x1004, &source))
		cr_expect(is_inside(file, source.name) && is_inside(file, source.directory));
}

Test(line, E4_of_a_damaged_file_nothing_is_read_beyond_its_end)
{
	static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
	unsigned version, value;
	size_t size, i;

	for (version = 4; version <= 5; version++) {
		struct unit unit = make_unit(version);
		struct bytes lines = {.size = 0};
		struct file file;

		put_unit(&lines, &unit);
		size = lines.size;
		for (i = 0; i < size; i++)
			for (value = 0; value < sizeof(values); value++) {
				unsigned char kept = lines.at[i];

				lines.at[i] = values[value];
				file = make_file(&lines);
				look_at(&file);
				drop_file(&file);
				lines.at[i] = kept;
			}
		/* Cut off, once with a length that tells of more. */
		for (lines.size = 0; lines.size < size; lines.size++) {
			file = make_file(&lines);
			look_at(&file);
			drop_file(&file);
		}
	}
}
