/* tests/unit/lines.h: functions of files that are compiled with debug information of their own. */
#ifndef SC_TESTS_LINES_H
#define SC_TESTS_LINES_H

/* Each returns the return address of a call in itself; *out_line is the call's line. */
const void *dwarf4_site(int *out_line);
const void *dwarf0_site(void);

#endif
