/* running - the store and the script of the test that runs, for kits that lie beside each other in
 * one library. */
#ifndef DIF_TESTS_RUNNING_H
#define DIF_TESTS_RUNNING_H

extern struct store *st;
extern struct script *s;

#endif
