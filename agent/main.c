#include <malloc.h>

#include "console/cli.h"

/* glibc would give each thread a heap of its own, and keep in it for good what a large buffer once
 * took. Most of what is allocated lives on the loop; large buffers go back as they are freed. */
static void keep_memory_together(void)
{
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

int main(int argc, char **argv)
{
	keep_memory_together();
	return dif_cli_main(argc, argv);
}
