/* examples/recipes/recipe.h: what the recipes have in common: main.c calls the one of a program.
 *
 * To build one, with `make lib` done; the others have libcurl, libpq, sqlite3, libcares:
 *   cc -O2 -g -Iapi -o recipe examples/recipes/{openssl,main}.c build/libscope.a \
 *       $(pkg-config --cflags --libs openssl) -luv -lpthread
 * Usage of all: recipe SECONDS ARGUMENT...   with a deadline after so many seconds
 */
#ifndef RECIPE_H
#define RECIPE_H

#include <errno.h>
#include <scope.h>
#include <stdio.h>

/* A task; args is a char *[] that ends with NULL. */
int recipe(void *args);

#endif
