/* support - what several tests share: cmocka, a scratch folder that goes away, TEST(). */
#ifndef DIF_TESTS_SUPPORT_H
#define DIF_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A name is a promise: TEST(cancel_in_flight_calls_back_once). */
#define TEST(name) static void name(void **state_of_test)
#define UNUSED_STATE (void)state_of_test

/* A fresh folder below TMPDIR or /tmp, removed at exit. Never NULL. */
const char *test_folder(void);
/* FOLDER/name, malloc'ed and kept until exit. */
const char *test_path(const char *name);
void test_write(const char *path, const void *p, size_t n);

#endif
