/* secret - values that must never be seen. Registered ones are replaced by *** in every sentence,
 * log line and trace.
 *
 * Loop thread for add and drop; redact from any thread. */
#ifndef DIF_HOST_SECRET_H
#define DIF_HOST_SECRET_H

#include "base/err.h"

/* Copied into locked, undumpable memory; shorter than 8 bytes: ignored. Of a value of several lines
 * each line is one, too. */
void dif_secret_add(const char *value);
void dif_secret_drop(const char *value);
/* Replaces in place; the text never grows. */
void dif_secret_redact(char *text);
void dif_secret_fini(void); /* wipes all */

/* Resolves env:NAME, file:PATH (trusted, 0640 or tighter, one trailing newline dropped),
 * credential:NAME (systemd's $CREDENTIALS_DIRECTORY). Anything else is itself, for which inline_ok
 * must hold (the file that holds it is 0640 or tighter). malloc'ed, owned by the caller,
 * registered. NULL: err. */
char *dif_secret_resolve(const char *reference, bool inline_ok, struct dif_error *err);

#endif
