/* examples/recipes/recipe.h: what the recipes have in common: main.c calls the one of a program.
 *
 * Usage of all: NAME SECONDS ARGUMENT...   with a deadline after so many seconds
 */
#ifndef RECIPE_H
#define RECIPE_H

#include <errno.h>
#include <scope.h>
#include <stdio.h>

/* A task; args is a char *[] that ends with NULL. */
int recipe(void *args);

#endif
